// d8's globals on top of the few things that only the host can do (see shell.rs).
(function (host) {
  'use strict';
  const global = globalThis;
  const text = (values) => values.map((value) => typeof value === 'symbol' ? value.toString() : String(value)).join(' ');
  const define = (name, value) =>
    Object.defineProperty(global, name, { value, writable: true, configurable: true, enumerable: false });
  const print = (...values) => host.write(text(values) + '\n');
  const printErr = (...values) => host.writeError(text(values) + '\n');
  const read = (name, mode) => mode === 'binary' ? new Uint8Array(readbuffer(name)) : host.read(String(name));
  const readbuffer = (name) => {
    const bytes = host.readBytes(String(name));
    const buffer = new ArrayBuffer(bytes.length);
    new Uint8Array(buffer).set(bytes);
    return buffer;
  };
  const load = (...names) => names.forEach((name) => host.execute(String(name)));
  const quit = (code) => host.quit((code ?? 0) | 0);
  define('print', print);
  define('printErr', printErr);
  define('write', (...values) => host.write(text(values)));
  define('read', read);
  define('readbuffer', readbuffer);
  define('readline', () => undefined);
  define('load', load);
  define('quit', quit);
  define('version', () => 'embedded QuickJS');
  define('arguments', host.arguments);
  define('setTimeout', (task) => { host.tasks.push(task); return host.tasks.length; });
  define('performance', { now: () => host.now(), mark() {}, measure() {}, timeOrigin: 0 });
  const quiet = () => undefined;
  define('console', {
    log: print, info: print, debug: print, error: printErr, warn: printErr, trace: quiet, assert: quiet, time: quiet,
    timeEnd: quiet, count: quiet, group: quiet, groupEnd: quiet, table: quiet, dir: print, clear: quiet,
  });
  define('d8', {
    file: { execute: load, read, readBuffer: readbuffer },
    quit,
    // Only here: tests of the runner need a shell that dies by a signal.
    crash: (how) => host.crash(String(how)),
  });
  if (host.gcName) define(host.gcName, () => host.collect());
})
