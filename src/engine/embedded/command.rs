//! d8's command line: sources in order, a few flags that matter here, groups divided by `--isolate`.
//!
//! Pure.

/// Something to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A script file.
    Script(String),
    /// A module file.
    Module(String),
    /// Text of `-e`.
    Text(String),
}

/// What was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Command {
    /// Sources; each group runs in an isolate of its own.
    pub(super) groups: Vec<Vec<Piece>>,
    /// `--throws`: success is an uncaught exception.
    pub(super) throws: bool,
    /// `--use-strict`.
    pub(super) strict: bool,
    /// `--ignore-unhandled-promises`.
    pub(super) ignore_rejections: bool,
    /// The name under which garbage collection is offered.
    pub(super) gc_name: Option<String>,
    /// What stands behind `--`.
    pub(super) arguments: Vec<String>,
}

impl Command {
    pub(super) fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let mut command = Command { groups: vec![Vec::new()], ..Command::default() };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--" => {
                    command.arguments.extend(arguments);
                    break;
                }
                "-e" => command.push(arguments.next().map(Piece::Text)),
                "--module" => command.push(arguments.next().map(Piece::Module)),
                "--isolate" => command.groups.push(Vec::new()),
                flag if flag.starts_with('-') => command.flag(flag),
                file if file.ends_with(".mjs") => command.push(Some(Piece::Module(argument))),
                _ => command.push(Some(Piece::Script(argument))),
            }
        }
        command.groups.retain(|group| !group.is_empty());
        command
    }

    fn push(&mut self, piece: Option<Piece>) {
        if let Some(group) = self.groups.last_mut() {
            group.extend(piece);
        }
    }

    fn flag(&mut self, flag: &str) {
        match flag.replace('_', "-").as_str() {
            "--throws" => self.throws = true,
            "--use-strict" => self.strict = true,
            "--ignore-unhandled-promises" => self.ignore_rejections = true,
            "--expose-gc" => self.gc_name = Some("gc".to_owned()),
            other => {
                if let Some(name) = other.strip_prefix("--expose-gc-as=") {
                    self.gc_name = Some(name.to_owned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_as_the_runner_makes_it() {
        let line = "--test a.js -e x=1 --module b.js c.mjs --isolate a.js --random-seed=5 --use-strict --throws -- q";
        let command = Command::parse(line.split(' ').map(str::to_owned));
        let pieces = |group: usize| command.groups[group].len();
        assert_eq!((pieces(0), pieces(1)), (4, 1));
        assert_eq!(command.groups[0][2], Piece::Module("b.js".to_owned()));
        assert!(command.strict && command.throws);
        assert_eq!(command.arguments, ["q"]);
    }
}
