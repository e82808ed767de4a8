//! One isolate: the host functions, scripts, modules, tasks, and d8's words for an uncaught exception.

use std::cell::Cell;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use rquickjs::context::EvalOptions;
use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::Declared;
use rquickjs::promise::PromiseState;
use rquickjs::{CatchResultExt, CaughtError, Context, Ctx, Function, Module, Object, Runtime, Value};

use super::command::{Command, Piece};

/// Native stack that scripts may use; the main thread has 8 MiB.
const STACK: usize = 4 << 20;

const BOOTSTRAP: &str = include_str!("bootstrap.js");

/// Runs a group of sources. Returns whether nothing was thrown.
pub(super) fn run(group: &[Piece], command: &Command) -> bool {
    let Ok(runtime) = Runtime::new() else { return complain("cannot start the engine") };
    runtime.set_max_stack_size(STACK);
    runtime.set_loader(Files, Files);
    // Rejections without a handler, by count: one that gets a handler later is taken back.
    let rejections = Rc::new(Cell::new(0_i64));
    let counter = rejections.clone();
    runtime.set_host_promise_rejection_tracker(Some(Box::new(move |_, _, _, handled| {
        counter.set(counter.get() + if handled { -1 } else { 1 });
    })));
    let Ok(context) = Context::full(&runtime) else { return complain("cannot start the engine") };
    let prepared =
        context.with(|ctx| install(&ctx, command).catch(&ctx).map_err(|error| show(&error, "(shell)")));
    if prepared.is_err() {
        return false;
    }
    for piece in group {
        if !context.with(|ctx| execute(&ctx, piece, command.strict)) || !drain(&runtime) {
            return false;
        }
    }
    while context.with(|ctx| next_task(&ctx)) {
        if !drain(&runtime) {
            return false;
        }
    }
    let failed = context.with(|ctx| ctx.globals().get::<_, bool>("__failed").unwrap_or(false));
    let unhandled = rejections.get() > 0 && !command.ignore_rejections;
    if unhandled {
        complain("Uncaught (in promise)");
    }
    !failed && !unhandled
}

fn complain(what: &str) -> bool {
    println!("{what}");
    false
}

/// Runs promise jobs until there are none.
fn drain(runtime: &Runtime) -> bool {
    loop {
        match runtime.execute_pending_job() {
            Ok(true) => {}
            Ok(false) => return true,
            Err(_) => return false,
        }
    }
}

/// Gives the global object d8's functions.
fn install<'js>(ctx: &Ctx<'js>, command: &Command) -> rquickjs::Result<()> {
    let host = Object::new(ctx.clone())?;
    let begun = Instant::now();
    host.set("write", Function::new(ctx.clone(), |text: String| out(&text)))?;
    host.set("writeError", Function::new(ctx.clone(), |text: String| eprint!("{text}")))?;
    host.set(
        "read",
        Function::new(ctx.clone(), |ctx: Ctx<'js>, name: String| {
            read(&ctx, &name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        }),
    )?;
    host.set("readBytes", Function::new(ctx.clone(), |ctx: Ctx<'js>, name: String| read(&ctx, &name)))?;
    let strict = command.strict;
    host.set(
        "execute",
        Function::new(ctx.clone(), move |ctx: Ctx<'js>, name: String| -> rquickjs::Result<()> {
            let source = read(&ctx, &name)?;
            ctx.eval_with_options::<Value<'js>, _>(source, script_options(&name, strict)).map(|_| ())
        }),
    )?;
    host.set(
        "quit",
        Function::new(ctx.clone(), |code: i32| -> () {
            let _ = std::io::stdout().flush();
            std::process::exit(code & 0xff)
        }),
    )?;
    host.set("now", Function::new(ctx.clone(), move || begun.elapsed().as_secs_f64() * 1000.0))?;
    host.set("collect", Function::new(ctx.clone(), |ctx: Ctx<'js>| ctx.run_gc()))?;
    host.set("crash", Function::new(ctx.clone(), |how: String| crash(&how)))?;
    host.set("arguments", command.arguments.clone())?;
    host.set("tasks", rquickjs::Array::new(ctx.clone())?)?;
    host.set("gcName", command.gc_name.clone())?;
    let bootstrap: Function<'js> = ctx.eval_with_options(BOOTSTRAP, script_options("(shell)", false))?;
    bootstrap.call::<_, ()>((host.clone(),))?;
    // Where the tasks are, for `next_task`; not enumerable, so that tests which look around do not meet it.
    let tasks: Value<'js> = host.get("tasks")?;
    ctx.globals().prop("__tasks", rquickjs::object::Property::from(tasks))
}

fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // A reader that went away ends the test; there is nobody to tell.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn read<'js>(ctx: &Ctx<'js>, name: &str) -> rquickjs::Result<Vec<u8>> {
    std::fs::read(name)
        .map_err(|_| rquickjs::Exception::throw_message(ctx, &format!("Error loading file: {name}")))
}

/// Dies by a signal, or as an abort does.
fn crash(how: &str) {
    let signal = match how {
        "abort" => std::process::abort(),
        "kill" => rustix::process::Signal::KILL,
        _ => rustix::process::Signal::SEGV,
    };
    // The runtime's own handler for stack overflows takes the first one and steps aside.
    for _ in 0..2 {
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    }
}

fn script_options(name: &str, strict: bool) -> EvalOptions {
    let mut options = EvalOptions::default();
    options.strict = strict;
    options.filename = Some(name.to_owned());
    options
}

/// Runs one source. Returns whether nothing was thrown.
fn execute(ctx: &Ctx<'_>, piece: &Piece, strict: bool) -> bool {
    match piece {
        Piece::Text(text) => script(ctx, text.as_bytes(), "(d8)", strict),
        Piece::Script(name) => match std::fs::read(name) {
            Ok(source) => script(ctx, &source, name, strict),
            Err(_) => complain(&format!("Error reading '{name}'")),
        },
        Piece::Module(name) => match std::fs::read(name) {
            Ok(source) => module(ctx, name, source),
            Err(_) => complain(&format!("Error reading '{name}'")),
        },
    }
}

fn script(ctx: &Ctx<'_>, source: &[u8], name: &str, strict: bool) -> bool {
    let result = ctx.eval_with_options::<Value<'_>, _>(source, script_options(name, strict)).catch(ctx);
    result.map(|_| true).unwrap_or_else(|error| show(&error, name))
}

fn module<'js>(ctx: &Ctx<'js>, name: &str, source: Vec<u8>) -> bool {
    let promise = match Module::evaluate(ctx.clone(), name, source).catch(ctx) {
        Ok(promise) => promise,
        Err(error) => return show(&error, name),
    };
    while ctx.execute_pending_job() {}
    match promise.state() {
        PromiseState::Rejected => {
            let result =
                promise.result::<Value<'js>>().unwrap_or(Ok(Value::new_undefined(ctx.clone()))).catch(ctx);
            result.map(|_| false).unwrap_or_else(|error| show(&error, name))
        }
        PromiseState::Resolved | PromiseState::Pending => true,
    }
}

/// Runs the next `setTimeout` task; returns whether there was one.
fn next_task(ctx: &Ctx<'_>) -> bool {
    const STEP: &str = "(() => { const task = __tasks.shift(); if (task === undefined) return false; task(); return true; })()";
    match ctx.eval_with_options::<bool, _>(STEP, script_options("(shell)", false)).catch(ctx) {
        Ok(more) => more,
        Err(error) => {
            show(&error, "(d8)");
            let _ = ctx.globals().set("__failed", true);
            false
        }
    }
}

/// Prints an uncaught exception as d8 does: `file:line: text`, the line, a caret, the stack. Returns false.
fn show(error: &CaughtError<'_>, name: &str) -> bool {
    let (text, stack) = match error {
        CaughtError::Exception(exception) => {
            (string_of(exception.as_object().as_value()), exception.stack().unwrap_or_default())
        }
        CaughtError::Value(value) => {
            let stack = value.as_object().and_then(|object| object.get::<_, String>("stack").ok());
            (string_of(value), stack.unwrap_or_default())
        }
        CaughtError::Error(error) => (error.to_string(), String::new()),
    };
    let (file, line, column) = place(&stack).unwrap_or_else(|| (name.to_owned(), 1, 1));
    let source = std::fs::read(&file).unwrap_or_default();
    let source = String::from_utf8_lossy(&source);
    let source = source.lines().nth(line.saturating_sub(1)).unwrap_or("");
    let caret = format!("{}^", " ".repeat(column.saturating_sub(1)));
    out(&format!("{file}:{line}: {text}\n{source}\n{caret}\n{text}\n{stack}\n"));
    false
}

/// What `String(value)` says; a symbol or a throwing `toString` has no text.
fn string_of(value: &Value<'_>) -> String {
    let ctx = value.ctx();
    let text = ctx
        .globals()
        .get::<_, Function<'_>>("String")
        .and_then(|function| function.call::<_, String>((value.clone(),)))
        .catch(ctx);
    text.unwrap_or_else(|_| "exception".to_owned())
}

/// File, line and column of the innermost frame: `    at name (file:line:column)`.
fn place(stack: &str) -> Option<(String, usize, usize)> {
    stack.lines().filter(|line| !line.contains("(native)")).find_map(|line| {
        let frame = line.trim().strip_prefix("at ")?;
        let frame = frame.rsplit_once('(').map_or(frame, |(_, inside)| inside).trim_end_matches(')');
        let mut parts = frame.rsplitn(3, ':');
        let (last, middle, first) = (parts.next()?, parts.next()?, parts.next());
        match (first, middle.parse::<usize>(), last.parse::<usize>()) {
            (Some(file), Ok(line), Ok(column)) => Some((file.to_owned(), line, column)),
            (None, _, Ok(line)) => Some((middle.to_owned(), line, 1)),
            _ => None,
        }
    })
}

/// Modules are files; names are relative to the module that imports them, or to the working directory.
struct Files;

impl Resolver for Files {
    fn resolve<'js>(
        &mut self,
        _ctx: &Ctx<'js>,
        base: &str,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<String> {
        let folder = Path::new(base).parent().unwrap_or(Path::new(""));
        Ok(plain(&folder.join(name)).to_string_lossy().into_owned())
    }
}

impl Loader for Files {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _attributes: Option<ImportAttributes<'js>>,
    ) -> rquickjs::Result<Module<'js, Declared>> {
        let source = std::fs::read(name).map_err(|_| {
            rquickjs::Exception::throw_message(ctx, &format!("d8: Error reading module from {name}"))
        })?;
        Module::declare(ctx.clone(), name, source)
    }
}

/// A path without `.` and, where it can be taken back, `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_frame_of_a_stack() {
        assert_eq!(place("    at f (a/b.js:3:7)\n    at <eval> (c.js:1:1)\n"), Some(("a/b.js".into(), 3, 7)));
        assert_eq!(place("    at map (native)\n    at c.js:2:1\n"), Some(("c.js".into(), 2, 1)));
        assert_eq!(place("    at c.js:2\n"), Some(("c.js".into(), 2, 1)));
        assert_eq!(place(""), None);
    }

    #[test]
    fn paths_lose_their_dots() {
        assert_eq!(plain(Path::new("a/./b/../c")), PathBuf::from("a/c"));
        assert_eq!(plain(Path::new("../x")), PathBuf::from("../x"));
    }
}
