//! Lines of limited width: each node in a network namespace of its own, all on one bridge. Needs root, `ip` and `tc`;
//! nothing leaves by this machine's own interfaces.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Result;

/// The nodes' lines, for as long as they are held.
pub(crate) struct Lines {
    tag: String,
    count: usize,
}

impl Lines {
    /// Lines for so many nodes; through each goes so much a second in each direction.
    pub(crate) fn lay(count: usize, megabits: usize) -> Result<Self> {
        let lines = Lines { tag: format!("tb{}", std::process::id()), count };
        let switch = lines.switch();
        lines.ip(&format!("netns add {switch}"))?;
        lines.ip(&format!("-n {switch} link add br0 type bridge"))?;
        lines.ip(&format!("-n {switch} link set br0 up"))?;
        for node in 0..count {
            let (name, port) = (lines.name(node), format!("port{node}"));
            lines.ip(&format!("netns add {name}"))?;
            lines.ip(&format!("-n {switch} link add {port} type veth peer name eth0 netns {name}"))?;
            lines.ip(&format!("-n {switch} link set {port} master br0 up"))?;
            lines.ip(&format!("-n {name} link set lo up"))?;
            lines.ip(&format!("-n {name} addr add {}/24 dev eth0", lines.address(node)))?;
            lines.ip(&format!("-n {name} link set eth0 up"))?;
            for (space, device) in [(&name, "eth0"), (&switch, port.as_str())] {
                let limit = format!("tbf rate {megabits}mbit burst 256kb latency 50ms");
                done("tc", &format!("-n {space} qdisc add dev {device} root {limit}"))?;
            }
        }
        Ok(lines)
    }

    /// Where a node is reached.
    pub(crate) fn address(&self, node: usize) -> String {
        format!("10.213.9.{}", node + 1)
    }

    /// A program on a node's line.
    pub(crate) fn command(&self, node: usize, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(node)]).arg(program);
        command
    }

    /// Puts this thread on a node's line, for good.
    pub(crate) fn enter(&self, node: usize) -> Result<()> {
        let space = File::open(format!("/run/netns/{}", self.name(node)))?;
        Ok(move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    fn name(&self, node: usize) -> String {
        format!("{}n{node}", self.tag)
    }

    fn switch(&self) -> String {
        format!("{}sw", self.tag)
    }

    fn ip(&self, words: &str) -> Result<()> {
        done("ip", words)
    }
}

fn done(program: &str, words: &str) -> Result<()> {
    let ended = Command::new(program).args(words.split(' ')).output()?;
    let why = String::from_utf8_lossy(&ended.stderr);
    if ended.status.success() { Ok(()) } else { Err(format!("{program} {words}: {}", why.trim()).into()) }
}

impl Drop for Lines {
    fn drop(&mut self) {
        for name in (0..self.count).map(|node| self.name(node)).chain([self.switch()]) {
            // One that was not made yet is not there to be removed.
            let _ = Command::new("ip").args(["netns", "del", &name]).stderr(Stdio::null()).status();
        }
    }
}
