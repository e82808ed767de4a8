//! What was typed to `meshctl`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use clap_complete::Shell as CompletionShell;

use crate::local::wire::{Key, Reason, Rights};
use crate::node::files::HOME_VARIABLE;
use crate::node::settings::undialable;

/// Hops a new approval carries when not told otherwise: at most four steps from you.
const DEFAULT_DEPTH: u8 = 3;
/// Most hops an approval can carry; more would count as that.
const MAX_DEPTH: i64 = testmesh_keys::closure::MAX_DEPTH as i64;
/// Lines shown of a log when not told otherwise.
const DEFAULT_LINES: u32 = 20;

/// Your hand on this machine's node: sets it up, starts it, shows it, and says whom it trusts.
#[derive(Debug, Parser)]
#[command(name = "meshctl", version, max_term_width = 110, arg_required_else_help = true)]
pub(super) struct Args {
    /// Folder of the node; default: the XDG folders of this account.
    #[arg(long, global = true, value_name = "DIR", env = HOME_VARIABLE, hide_env_values = true)]
    pub(super) home: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make this machine's key and settings; keeps what is there.
    Setup(Setup),
    /// Start the node in the background.
    Start,
    /// Stop the node.
    Stop,
    /// Stop the node and start it again.
    Restart,
    /// Show this node, and what is missing between it and others.
    Status {
        /// Show it again whenever it changes, until interrupted.
        #[arg(short, long)]
        watch: bool,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show the machines this node knows: trust in both directions, platform, load, what is missing.
    Peers {
        /// Show everyone seen on this network instead, with keys.
        #[arg(long)]
        seen: bool,
        #[command(flatten)]
        listing: Listing,
    },
    /// Show or export this machine's public key.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Trust a machine: its tests may run here, its results count here.
    Approve(Approve),
    /// Take an approval back. Others may still vouch for the machine.
    Forget {
        #[command(flatten)]
        who: WhoArg,
        /// Let its denials go, too; otherwise they are issued again as yours.
        #[arg(long)]
        drop_denials: bool,
        #[command(flatten)]
        listing: Listing,
    },
    /// Deny a machine on all machines that trust this one, and forget it here.
    Revoke(Revoke),
    /// End this machine's own key, or by its certificate another, everywhere and for ever.
    Retire {
        /// End the key this file was made with; `setup` wrote it as retire.cert (`-` for standard input).
        #[arg(long, value_name = "FILE", conflicts_with_all = ["successor", "note"])]
        certificate: Option<PathBuf>,
        /// The key that comes next: a hint for people.
        #[arg(long, value_name = "KEY")]
        successor: Option<Key>,
        /// A word for people, at most 128 bytes.
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        listing: Listing,
    },
    /// Refuse a machine here, whoever vouches for it. Never published.
    Block(Simple),
    /// Take a block back.
    Unblock(Simple),
    /// Ignore the denials of a machine here. Never published.
    Void(Simple),
    /// Heed the denials of a machine again.
    Unvoid(Simple),
    /// Show why a machine is trusted or not: the chain, hop by hop, with leases.
    Why(Simple),
    /// Show everything about trust: approvals, decisions, statements.
    Trust(Listing),
    /// Show the last lines of the audit log.
    Audit {
        /// At most so many lines.
        #[arg(short = 'n', long, default_value_t = DEFAULT_LINES)]
        lines: u32,
        /// Only the hash of the last line, to note elsewhere.
        #[arg(long)]
        head: bool,
        #[command(flatten)]
        listing: Listing,
    },
    /// Connect to a machine that is not found by itself.
    Dial {
        /// Such as /ip4/192.168.1.7/tcp/4917.
        #[arg(value_name = "MULTIADDR", value_parser = multiaddr)]
        address: libp2p::Multiaddr,
    },
    /// Start no more jobs of others until `resume`.
    Pause,
    /// Start jobs of others again.
    Resume,
    /// Publish anew after the statements of this node were lost; without an option, show what peers gave back.
    Recover {
        /// Approve again what this node's own snapshot says, as its peers gave it back.
        #[arg(long, conflicts_with = "fresh")]
        restore: bool,
        /// Give up what was lost; what the allowlist says now counts.
        #[arg(long)]
        fresh: bool,
        #[command(flatten)]
        listing: Listing,
    },
    /// Read the allowlist again, check the settings, and say which of them wait for a restart.
    Reload,
    /// Show the log of a node started in the background.
    Logs {
        /// At most so many lines.
        #[arg(short = 'n', long, default_value_t = DEFAULT_LINES)]
        lines: u32,
        /// Go on with what is added, until interrupted.
        #[arg(short, long)]
        follow: bool,
    },
    /// Print a completion script.
    Completions {
        /// For which shell.
        shell: CompletionShell,
    },
    /// Become the node, apart from the terminal. Used by `start`.
    #[command(hide = true)]
    Detached,
}

/// How a listing is printed.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(super) struct Listing {
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Names of a new node.
#[derive(Debug, ClapArgs)]
pub(super) struct Setup {
    /// What this machine calls itself; default: its host name.
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Which mesh it belongs to; nodes of others do not meet.
    #[arg(long)]
    pub(super) mesh: Option<String>,
}

/// This machine's public key.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Print it as a file to send to others.
    Export {
        /// Write it there instead; an existing file stays.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show it, with the words people compare.
    Show(Listing),
}

/// Whom a command is about.
#[derive(Debug, ClapArgs)]
pub(super) struct WhoArg {
    /// A name or label, or a key (`ed25519:…`).
    #[arg(value_name = "PEER")]
    pub(super) who: String,
}

/// A peer, and how to print.
#[derive(Debug, ClapArgs)]
pub(super) struct Simple {
    /// Whom it is about.
    #[command(flatten)]
    pub(super) who: WhoArg,
    /// How to print.
    #[command(flatten)]
    pub(super) listing: Listing,
}

/// Whom to trust, and how far.
#[derive(Debug, ClapArgs)]
pub(super) struct Approve {
    /// A key file (`-` for standard input), a key (`ed25519:…`), or the name of a machine on this network.
    #[arg(value_name = "FILE|KEY|NAME")]
    pub(super) who: String,
    /// What it may do, comma-separated: submit (its tests run here), work (its results count here).
    #[arg(long, value_parser = rights, default_value = "submit,work")]
    pub(super) rights: Rights,
    /// How many more hops its own vouches carry; 0 trusts nobody it vouches for.
    #[arg(long, default_value_t = DEFAULT_DEPTH, value_parser = clap::value_parser!(u8).range(..=MAX_DEPTH))]
    pub(super) depth: u8,
    /// What to call it; default: the name it claims.
    #[arg(long, value_name = "NAME")]
    pub(super) label: Option<String>,
    /// Trust it in spite of this denial; may be given several times.
    #[arg(long, value_name = "DENIAL")]
    pub(super) despite: Vec<String>,
    /// Do not ask.
    #[arg(short, long)]
    pub(super) yes: bool,
    /// How to print.
    #[command(flatten)]
    pub(super) listing: Listing,
}

/// Whom to deny, and why.
#[derive(Debug, ClapArgs)]
pub(super) struct Revoke {
    /// Whom.
    #[command(flatten)]
    pub(super) who: WhoArg,
    /// lost, compromised, left or misbehaving.
    #[arg(long, default_value_t = Reason::Lost)]
    pub(super) reason: Reason,
    /// A word for people, at most 128 bytes.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(super) note: String,
    /// Only show who would fall.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub(super) yes: bool,
    /// How to print.
    #[command(flatten)]
    pub(super) listing: Listing,
}

fn multiaddr(text: &str) -> Result<libp2p::Multiaddr, String> {
    let address =
        text.parse().map_err(|error| format!("{error}; one looks like /ip4/192.168.1.7/tcp/4917"))?;
    match undialable(&address) {
        Some(why) => Err(format!("it {why}; one looks like /ip4/192.168.1.7/tcp/4917")),
        None => Ok(address),
    }
}

fn rights(text: &str) -> Result<Rights, String> {
    let mut rights = Rights::default();
    for word in text.split(',') {
        match word.trim() {
            "submit" => rights.submit = true,
            "work" => rights.work = true,
            other => return Err(format!("unknown right {other:?}; there are `submit` and `work`")),
        }
    }
    Ok(rights)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn rights_are_words() {
        assert_eq!(rights("submit,work"), Ok(Rights::ALL));
        assert_eq!(rights("work"), Ok(Rights { submit: false, work: true }));
        assert!(rights("all").is_err() && rights("").is_err());
    }

    #[test]
    fn only_what_can_be_dialled_is_an_address() {
        assert!(multiaddr("/ip4/10.0.0.1/tcp/4917").is_ok() && multiaddr("/ip6/fd00::1/tcp/1").is_ok());
        for no in [
            "",
            "10.0.0.1:4917",
            "/ip4/10.0.0.1",
            "/ip4/10.0.0.1/udp/1",
            "/dns4/x/tcp/1",
            "/ip4/10.0.0.1/tcp/0",
        ] {
            assert!(multiaddr(no).unwrap_err().contains("one looks like"), "{no}");
        }
    }

    #[test]
    fn approve_has_careful_defaults() {
        let args = Args::try_parse_from(["meshctl", "approve", "bob.key"]).unwrap();
        let Command::Approve(approve) = args.command else { panic!("{:?}", args.command) };
        assert_eq!((approve.rights, approve.depth, approve.yes), (Rights::ALL, 3, false));
        assert!(Args::try_parse_from(["meshctl", "approve", "bob.key", "--depth", "5"]).is_err());
        assert!(Args::try_parse_from(["meshctl", "recover", "--fresh", "--restore"]).is_err());
        assert!(Args::try_parse_from(["meshctl", "retire", "--certificate", "f", "--note", "x"]).is_err());
    }

    #[test]
    fn every_command_is_explained() {
        insta::assert_snapshot!(Args::command().term_width(100).render_help(), @"
        Your hand on this machine's node: sets it up, starts it, shows it, and says whom it trusts

        Usage: meshctl [OPTIONS] <COMMAND>

        Commands:
          setup        Make this machine's key and settings; keeps what is there
          start        Start the node in the background
          stop         Stop the node
          restart      Stop the node and start it again
          status       Show this node, and what is missing between it and others
          peers        Show the machines this node knows: trust in both directions, platform, load, what is
                       missing
          key          Show or export this machine's public key
          approve      Trust a machine: its tests may run here, its results count here
          forget       Take an approval back. Others may still vouch for the machine
          revoke       Deny a machine on all machines that trust this one, and forget it here
          retire       End this machine's own key, or by its certificate another, everywhere and for ever
          block        Refuse a machine here, whoever vouches for it. Never published
          unblock      Take a block back
          void         Ignore the denials of a machine here. Never published
          unvoid       Heed the denials of a machine again
          why          Show why a machine is trusted or not: the chain, hop by hop, with leases
          trust        Show everything about trust: approvals, decisions, statements
          audit        Show the last lines of the audit log
          dial         Connect to a machine that is not found by itself
          pause        Start no more jobs of others until `resume`
          resume       Start jobs of others again
          recover      Publish anew after the statements of this node were lost; without an option, show
                       what peers gave back
          reload       Read the allowlist again, check the settings, and say which of them wait for a
                       restart
          logs         Show the log of a node started in the background
          completions  Print a completion script
          help         Print this message or the help of the given subcommand(s)

        Options:
              --home <DIR>  Folder of the node; default: the XDG folders of this account [env:
                            TESTMESH_HOME]
          -h, --help        Print help
          -V, --version     Print version
        ");
    }
}
