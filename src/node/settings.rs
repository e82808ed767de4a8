//! What the owner of a node sets, in `config.toml`.
//!
//! Read at the start; `meshctl reload` reads it too, to say what waits for a restart. Nothing writes the file after
//! `meshctl setup`. Unknown words and values out of bounds are errors that name file and line: a mistyped setting must
//! not pass as a default.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use testmesh_behaviours::Multiaddr;
pub use testmesh_behaviours::address::undialable;
use testmesh_behaviours::address::unlistenable;
use testmesh_keys::allowlist::check_label;

/// Bytes of the name of a node, as the mesh allows.
pub const NAME_MAX: usize = 64;
/// Bytes of the name of a mesh, as the mesh allows.
pub const MESH_MAX: usize = 64;
/// Addresses to listen on, and fixed peers: typed by a person.
pub const ADDRESSES_MAX: usize = 64;
/// Slots of one node: more than any machine has cores today.
pub const SLOTS_MAX: u16 = 1_024;
/// The mesh of those who name none.
pub const DEFAULT_MESH: &str = "default";

/// Settings of a node, with defaults for what the file does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What this machine calls itself. Not unique.
    pub name: String,
    /// Nodes of differently named meshes do not meet.
    pub mesh: String,
    /// Multiaddresses to listen on; empty for any free port of all private and link-local addresses of this host.
    pub listen: Vec<String>,
    /// Multiaddresses of peers that multicast does not find.
    pub peers: Vec<String>,
    /// Jobs run at once; one a core where not set.
    pub slots: Option<u16>,
    /// Whether to look for others by multicast.
    pub mdns: bool,
    /// Whether to announce changes of trust by gossip.
    pub gossip: bool,
    /// Whether to run jobs of others where this machine has no containment for them.
    pub accept_unsandboxed: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            name: host_name(),
            mesh: DEFAULT_MESH.to_owned(),
            listen: Vec::new(),
            peers: Vec::new(),
            slots: None,
            mdns: true,
            gossip: true,
            accept_unsandboxed: false,
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not TOML, or no setting of ours.
    #[error("{}: {why}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's words, with line and column.
        why: String,
    },
    /// A value that no node can have.
    #[error("{}: {setting} {why}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Which setting.
        setting: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A name given to `setup`.
    #[error("the {what} {why}")]
    Given {
        /// `name` or `mesh`.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads settings.
///
/// # Errors
/// [`SettingsError`] names the file and what is wrong.
pub fn parse(path: &Path, text: &str) -> Result<Settings, SettingsError> {
    let syntax = |error: toml::de::Error| SettingsError::Syntax {
        path: path.to_owned(),
        why: error.to_string().trim_end().to_owned(),
    };
    let settings: Settings = toml::from_str(text).map_err(syntax)?;
    match fault(&settings) {
        Some((setting, why)) => Err(SettingsError::Value { path: path.to_owned(), setting, why }),
        None => Ok(settings),
    }
}

fn fault(settings: &Settings) -> Option<(&'static str, String)> {
    let faults = [("name", bad_own_name(&settings.name)), ("mesh", bad_name(&settings.mesh, MESH_MAX))];
    if let Some(fault) = faults.into_iter().find_map(|(setting, why)| Some((setting, why?))) {
        return Some(fault);
    }
    let lists: [(_, _, Fault); 2] =
        [("listen", &settings.listen, unlistenable), ("peers", &settings.peers, undialable)];
    for (setting, list, fault) in lists {
        if list.len() > ADDRESSES_MAX {
            return Some((setting, format!("has {} addresses, {ADDRESSES_MAX} are allowed", list.len())));
        }
        if let Some(why) = list.iter().find_map(|address| bad_address(address, fault)) {
            return Some((setting, why));
        }
    }
    let slots = settings.slots.filter(|slots| !(1..=SLOTS_MAX).contains(slots));
    slots.map(|slots| ("slots", format!("is {slots}; 1 to {SLOTS_MAX} are possible")))
}

/// What is wrong with an address, in words that follow it.
type Fault = fn(&Multiaddr) -> Option<&'static str>;

fn bad_address(text: &str, fault: Fault) -> Option<String> {
    match text.parse() {
        Ok(address) => fault(&address).map(|why| format!("holds {text:?}, which {why}")),
        Err(error) => Some(format!(
            "holds {text:?}, which is no multiaddress ({error}); one looks like /ip4/192.168.1.7/tcp/4001"
        )),
    }
}

/// A name is shown to others, written into key files and taken for a label: it must be good for all of that.
fn bad_own_name(text: &str) -> Option<String> {
    let why = check_label(text).err().map(|why| format!("{text:?} cannot be used: {why}"));
    bad_name(text, NAME_MAX).or(why)
}

fn bad_name(text: &str, most: usize) -> Option<String> {
    if text.is_empty() {
        return Some("is empty".to_owned());
    }
    if text.len() > most {
        return Some(format!("has {} bytes, {most} are allowed", text.len()));
    }
    text.chars().any(char::is_control).then(|| "holds control characters".to_owned())
}

/// The file of a new node.
///
/// # Errors
/// [`SettingsError::Given`] for a name that no node or mesh can have.
pub fn fresh(name: Option<&str>, mesh: Option<&str>) -> Result<String, SettingsError> {
    let own = host_name();
    let name = name.unwrap_or(&own);
    let mesh = mesh.unwrap_or(DEFAULT_MESH);
    for (what, why) in [("name", bad_own_name(name)), ("mesh", bad_name(mesh, MESH_MAX))] {
        if let Some(why) = why {
            return Err(SettingsError::Given { what, why });
        }
    }
    Ok(TEMPLATE.replace("{name}", &quoted(name)).replace("{mesh}", &quoted(mesh)))
}

/// A TOML string; control characters were refused before.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

const TEMPLATE: &str = r#"# Settings of this machine's node. `meshctl restart` puts changes in force.

# What this machine calls itself. Others see it as a claim.
name = {name}

# Nodes of differently named meshes do not meet, though they share a network. Not a secret.
mesh = {mesh}

# Addresses to listen on. Empty: every private and link-local address of this host, any free port.
# listen = ["/ip4/0.0.0.0/tcp/4917"]

# Machines that are not found by themselves, such as those behind a router.
# peers = ["/ip4/192.168.1.7/tcp/4917"]

# Tests of others and of yours that run here at once. Default: one a core.
# slots = 8

# Whether to look for other machines by multicast.
# mdns = true

# Whether to announce changes of trust to all at once. Without, each machine tells those it is connected to, and compares
# with them every few seconds; slower in a mesh where not everybody is connected to everybody. For finding faults.
# gossip = true

# Whether to run tests of others although this machine cannot contain them. They could read your files.
# accept_unsandboxed = false
"#;

/// This host's name up to the first dot; `node` where it has none.
fn host_name() -> String {
    let uname = rustix::system::uname();
    let full = uname.nodename().to_string_lossy();
    let short: String =
        full.split('.').next().unwrap_or("").chars().filter(|char| !char.is_control()).collect();
    if bad_own_name(&short).is_some() { "node".to_owned() } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        parse(Path::new("/home/config.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_new_file_says_what_was_given_and_leaves_the_rest_at_its_defaults() {
        let text = fresh(Some("a \"b\" \\ c"), Some("lab")).unwrap();
        let settings = parse(Path::new("x"), &text).unwrap();
        assert_eq!(
            settings,
            Settings { name: "a \"b\" \\ c".to_owned(), mesh: "lab".to_owned(), ..Settings::default() }
        );
        assert!(settings.mdns && settings.gossip && !settings.accept_unsandboxed);
    }

    #[test]
    fn the_commented_examples_are_valid() {
        let text: String = fresh(Some("a"), None)
            .unwrap()
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let settings = parse(Path::new("x"), &text).unwrap();
        assert_eq!((settings.slots, settings.listen.len(), settings.peers.len()), (Some(8), 1, 1));
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_place() {
        insta::assert_snapshot!(check("name = \"a\"\nmdsn = true\n"), @"
        /home/config.toml: TOML parse error at line 2, column 1
          |
        2 | mdsn = true
          | ^^^^
        unknown field `mdsn`, expected one of `name`, `mesh`, `listen`, `peers`, `slots`, `mdns`, `gossip`, `accept_unsandboxed`
        ");
        insta::assert_snapshot!(check("name = \"\""), @"/home/config.toml: name is empty");
        insta::assert_snapshot!(check("mesh = \"a\\u001bb\""), @"/home/config.toml: mesh holds control characters");
        insta::assert_snapshot!(check("slots = 0"), @"/home/config.toml: slots is 0; 1 to 1024 are possible");
        insta::assert_snapshot!(check("listen = [\"192.168.1.7:4001\"]"), @r#"/home/config.toml: listen holds "192.168.1.7:4001", which is no multiaddress (invalid multiaddr); one looks like /ip4/192.168.1.7/tcp/4001"#);
        insta::assert_snapshot!(check("peers = [\"/dns4/desk/tcp/4001\"]"), @r#"/home/config.toml: peers holds "/dns4/desk/tcp/4001", which is a host name, and nodes look up none: use /ip4/ or /ip6/"#);
        insta::assert_snapshot!(check("listen = [\"/ip4/10.0.0.1/udp/1/quic-v1\"]"), @r#"/home/config.toml: listen holds "/ip4/10.0.0.1/udp/1/quic-v1", which has no /tcp/ port, and nodes speak nothing else"#);
        insta::assert_snapshot!(fresh(Some("my  desk"), None).unwrap_err(), @r#"the name "my  desk" cannot be used: a label may not begin with `#`, contain ` #`, or have blanks at its ends or two in a row"#);
        insta::assert_snapshot!(check("name = \" desk\""), @r#"/home/config.toml: name " desk" cannot be used: a label may not begin with `#`, contain ` #`, or have blanks at its ends or two in a row"#);
        insta::assert_snapshot!(fresh(Some(&"a".repeat(65)), None).unwrap_err(), @"the name has 65 bytes, 64 are allowed");
    }
}
