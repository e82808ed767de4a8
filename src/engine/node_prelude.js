// Makes Node.js behave like d8 on a command line: several scripts in one global scope, modules, -e, V8 flags, d8's
// globals and its words for an uncaught exception.
'use strict';

const fs = require('fs');
const path = require('path');
const url = require('url');
const v8 = require('v8');
const vm = require('vm');
const { Worker: NodeWorker, isMainThread, parentPort, workerData } = require('worker_threads');

const write = (fd, text) => {
  const bytes = Buffer.from(text, 'utf8');
  for (let at = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(fd, bytes, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
};

const options = { throws: false, ignoreRejections: false, gcName: null };

// Splits the command line into groups of sources; `--isolate` begins a new one.
function parse(args) {
  const groups = [[]];
  const own = [];
  for (let index = 0; index < args.length; index++) {
    const arg = args[index];
    const group = groups[groups.length - 1];
    if (arg === '--') {
      own.push(...args.slice(index + 1));
      break;
    } else if (arg === '-e') {
      group.push({ code: args[++index] });
    } else if (arg === '--module') {
      group.push({ file: args[++index], module: true });
    } else if (arg === '--isolate') {
      groups.push([]);
    } else if (arg.startsWith('-')) {
      flag(arg);
    } else {
      group.push({ file: arg, module: arg.endsWith('.mjs') });
    }
  }
  return { groups: groups.filter((group) => group.length), own };
}

// Every V8 knows these; asking it takes longer than most tests.
const CERTAIN = /^--(random-seed=|allow-natives-syntax$|use-strict$|stack-size=)/;

const NOT_V8 = ['--test', '--omit-quit', '--invoke-weak-callbacks', '--testing-d8-test-runner', '--no-arguments',
  '--enable-inspector', '--hard-abort', '--nohard-abort', '--no-hard-abort'];

function flag(text) {
  const name = text.replace(/_/g, '-');
  if (name === '--throws') options.throws = true;
  else if (name === '--ignore-unhandled-promises') options.ignoreRejections = true;
  else if (name === '--expose-gc') options.gcName = 'gc';
  else if (name.startsWith('--expose-gc-as=')) options.gcName = name.slice(15);
  else if (CERTAIN.test(name) || (!NOT_V8.includes(name) && known(name))) v8.setFlagsFromString(text);
}

// V8 prints a complaint about a flag it does not know, so Node is asked first.
let flags;
function known(name) {
  flags ??= require('child_process').spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8' }).stdout;
  const bare = name.replace(/^--(no-?)?/, '').replace(/=.*/, '');
  return flags.includes(`--${bare} `) || flags.includes(`--[no-]${bare} `) || flags.includes(`--no-${bare} `);
}

const exit = (code) => process.reallyExit(code | 0);

// setTimeout of d8: the delay does not count, tasks run in order when the scripts are done.
const tasks = [];

function globals(context, own) {
  const self = vm.runInContext('this', context);
  const text = (values) => values.map((value) => typeof value === 'symbol' ? value.toString() : String(value)).join(' ');
  const print = (...values) => write(1, text(values) + '\n');
  const printErr = (...values) => write(2, text(values) + '\n');
  const fail = (message) => vm.runInContext('(message) => { throw new Error(message); }', context)(message);
  const bytes = (name) => {
    try { return fs.readFileSync(name); } catch { return fail(`Error loading file: ${name}`); }
  };
  const readbuffer = (name) => {
    const content = bytes(name);
    const buffer = vm.runInContext('(size) => new ArrayBuffer(size)', context)(content.length);
    new Uint8Array(buffer).set(content);
    return buffer;
  };
  const read = (name, mode) => mode === 'binary' ? new Uint8Array(readbuffer(name)) : bytes(name).toString('utf8');
  const load = (...names) => {
    for (const name of names) script(context, bytes(name).toString('utf8'), name);
  };
  const define = (name, value) =>
    Object.defineProperty(self, name, { value, writable: true, configurable: true, enumerable: false });
  define('print', print);
  define('printErr', printErr);
  define('write', (...values) => write(1, text(values)));
  define('read', read);
  define('readbuffer', readbuffer);
  define('readline', () => undefined);
  define('load', load);
  define('quit', (code) => exit(code ?? 0));
  define('version', () => process.versions.v8);
  define('arguments', own);
  define('setTimeout', (task) => tasks.push(task));
  define('performance', { now: () => performance.now(), mark: () => {}, measure: () => {}, timeOrigin: performance.timeOrigin });
  define('console', Object.fromEntries(['log', 'info', 'debug', 'error', 'warn', 'trace', 'assert', 'time', 'timeEnd',
    'timeStamp', 'count', 'countReset', 'group', 'groupEnd', 'groupCollapsed', 'table', 'dir', 'dirxml', 'profile',
    'profileEnd', 'clear', 'context'].map((name) => [name, (...values) => {
    if (['log', 'info', 'debug'].includes(name)) print(...values);
    else if (['error', 'warn'].includes(name)) printErr(...values);
  }])));
  define('d8', {
    file: { execute: load, read, readBuffer: readbuffer },
    log: { getAndStop: () => '' },
    test: {}, promise: {}, dom: {},
    terminate: () => exit(1), quit: (code) => exit(code ?? 0),
  });
  define('Realm', realms(context, self, own));
  define('Worker', worker(self));
  if (options.gcName) {
    v8.setFlagsFromString('--expose-gc');
    define(options.gcName, vm.runInNewContext('gc'));
  }
  return self;
}

function fresh(own) {
  const context = vm.createContext();
  globals(context, own);
  return context;
}

// Realms are contexts; each is known by its number.
const contexts = [];
let current = 0;
function realms(context, self, own) {
  const number = contexts.push({ context, self, shared: undefined }) - 1;
  const at = (index) => contexts[index] ?? (() => { throw new Error('Invalid realm index'); })();
  const create = () => {
    fresh(own);
    return contexts.length - 1;
  };
  const realm = {
    current: () => number,
    owner: (object) => contexts.findIndex((one) => one && (object === one.self || object instanceof one.self.Object)),
    global: (index) => at(index).self,
    create,
    createAllowCrossRealmAccess: create,
    dispose: (index) => { contexts[index] = undefined; },
    switch: (index) => { current = index; },
    eval: (index, code) => script(at(index).context, String(code), '(d8)'),
  };
  Object.defineProperty(realm, 'shared', {
    get: () => contexts[0].shared, set: (value) => { contexts[0].shared = value; },
  });
  return realm;
}

function worker(self) {
  return class Worker {
    constructor(source, { type, arguments: args } = {}) {
      let code = source;
      if (typeof source === 'function' || type === 'function') code = `(${source})(...${JSON.stringify(args ?? [])})`;
      else if (type !== 'string') code = fs.readFileSync(String(source), 'utf8');
      this.signal = new Int32Array(new SharedArrayBuffer(4));
      this.queue = [];
      this.thread = new NodeWorker(__filename, { workerData: { code, signal: this.signal, flags: process.argv.slice(2).filter((arg) => arg.startsWith('--')) } });
      this.thread.unref();
    }
    postMessage(message, transfer) { this.thread.postMessage({ message }, transfer); }
    getMessage() {
      const { receiveMessageOnPort } = require('worker_threads');
      for (;;) {
        const received = receiveMessageOnPort(this.port ??= this.thread[Object.getOwnPropertySymbols(this.thread).find((symbol) => String(symbol).includes('kPublicPort'))]);
        if (received) return received.message.message;
        if (Atomics.load(this.signal, 0) === 1) return undefined;
        Atomics.wait(this.signal, 0, 0, 5);
      }
    }
    terminate() { this.thread.terminate(); }
    terminateAndWait() { this.thread.terminate(); }
  };
}

function script(context, code, filename) {
  return new vm.Script(code, { filename, importModuleDynamically: (name) => dynamic(context, name, filename) })
    .runInContext(context, { displayErrors: false });
}

// Modules, each once a context and file.
const modules = new Map();
function resolve(name, base) {
  if (name.startsWith('file:')) return url.fileURLToPath(name);
  return path.resolve(base ? path.dirname(base) : '.', name);
}

function moduleOf(context, file) {
  let known = modules.get(context);
  if (!known) modules.set(context, known = new Map());
  let found = known.get(file);
  if (!found) {
    const code = fs.readFileSync(file, 'utf8');
    found = file.endsWith('.json')
      ? new vm.SyntheticModule(['default'], function () { this.setExport('default', JSON.parse(code)); }, { context, identifier: file })
      : new vm.SourceTextModule(code, {
        context, identifier: file,
        initializeImportMeta: (meta) => { meta.url = url.pathToFileURL(file).href; },
        importModuleDynamically: (name) => dynamic(context, name, file),
      });
    known.set(file, found);
  }
  return found;
}

async function dynamic(context, name, base) {
  try {
    return await run(context, resolve(name, base));
  } catch (error) {
    if (error && error.code === 'ENOENT') vm.runInContext('(text) => { throw new Error(text); }', context)(`d8: Error reading module from ${name}`);
    throw error;
  }
}

async function run(context, file) {
  const module = moduleOf(context, file);
  if (module.status === 'unlinked') {
    await module.link((name, from) => {
      const target = resolve(name, from.identifier);
      return moduleOf(context, target);
    });
  }
  if (module.status === 'linked' || module.status === 'evaluated' || module.status === 'evaluating') await module.evaluate();
  return module;
}

// d8's words for an uncaught exception: file:line: text, the line, a caret, the stack.
function report(error, fallback) {
  const stack = error && typeof error === 'object' && typeof error.stack === 'string' ? error.stack : '';
  let text;
  try { text = typeof error === 'symbol' ? error.toString() : String(error); } catch { text = 'exception'; }
  const place = /(?:^|\n|\(|at )((?:[A-Za-z]:)?[^\n()]*?):(\d+)(?::(\d+))?\)?(?:\n|$)/.exec(stack);
  const file = place ? place[1].replace(/^\s*at /, '').replace(/^file:\/\//, '') : fallback;
  const line = place ? Number(place[2]) : 1;
  let source = '';
  try { source = fs.readFileSync(file, 'utf8').split('\n')[line - 1] ?? ''; } catch { /* not a file */ }
  const column = place && place[3] ? Number(place[3]) : 1;
  write(1, `${file}:${line}: ${text}\n${source}\n${' '.repeat(Math.max(0, column - 1))}^\n`);
  const frames = stack.split('\n').filter((one) => /^\s+at /.test(one) && !one.includes(__filename) && !one.includes('node:'));
  if (frames.length) write(1, `${text}\n${frames.join('\n')}\n`);
  write(1, '\n');
}

const rejections = new Map();
process.on('unhandledRejection', (reason, promise) => rejections.set(promise, reason));
process.on('rejectionHandled', (promise) => rejections.delete(promise));
const turn = () => new Promise((done) => setImmediate(done));

async function settle() {
  await turn();
  while (tasks.length) {
    const task = tasks.shift();
    task();
    await turn();
  }
}

async function group(sources, own) {
  const context = fresh(own);
  for (const source of sources) {
    const name = source.file ?? '(d8)';
    try {
      if (source.module) await run(context, path.resolve(source.file));
      else script(context, source.code ?? fs.readFileSync(source.file, 'utf8'), name);
      await turn();
    } catch (error) {
      if (error && error.code === 'ENOENT' && error.syscall) write(1, `Error reading '${error.path}'\n`);
      else report(error, name);
      return false;
    }
  }
  try {
    await settle();
  } catch (error) {
    report(error, '(d8)');
    return false;
  }
  if (!options.ignoreRejections && rejections.size) {
    for (const reason of rejections.values()) report(reason, '(d8)');
    return false;
  }
  return true;
}

async function main() {
  const { groups, own } = parse(process.argv.slice(2));
  let success = true;
  for (const sources of groups) success = await group(sources, own) && success;
  exit(options.throws ? Number(success) : Number(!success));
}

function inWorker() {
  workerData.flags.forEach(flag);
  const context = fresh([]);
  const self = vm.runInContext('this', context);
  Object.defineProperty(self, 'postMessage', { value: (message, transfer) => parentPort.postMessage({ message }, transfer), writable: true, configurable: true });
  parentPort.on('message', ({ message }) => {
    if (typeof self.onmessage === 'function') self.onmessage({ data: message });
  });
  try {
    script(context, workerData.code, 'worker');
  } catch (error) {
    report(error, 'worker');
    Atomics.store(workerData.signal, 0, 1);
    Atomics.notify(workerData.signal, 0);
  }
}

if (isMainThread) main(); else inWorker();
