//! Enforces a [`Containment`] on Linux (security note §3: tier 1).
//!
//! Entered once by the slot process itself and inherited by everything it starts, so a job costs nothing more:
//! Landlock (files below a few folders, no network, no signals or abstract sockets outside), a seccomp filter (no
//! sockets, no namespaces, no tracing, no mounts), resource limits, lowest priority. What the kernel does not offer is
//! reported as a lower [`Tier`], never passed over.

use std::collections::BTreeMap;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::contain::{ContainError, Containment, Tier};
use super::spawn;

/// Where every program finds its loader, libraries and clock; read and execute only.
const SYSTEM: &[&str] = &[
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/ssl/openssl.cnf",
    "/proc",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
];

/// Written by anybody without effect.
const SINKS: &[&str] = &["/dev/null"];

/// Largest file a job may write: bytes.
const FILE_SIZE: u64 = 64 << 20;

/// Descriptors a job may have open.
const OPEN_FILES: u64 = 256;

/// Added to the niceness of a slot: the owner's programs come first.
const NICENESS: i32 = 10;

/// The system's out-of-memory killer takes a job before anything else of this account.
const FIRST_TO_GO: &str = "1000";

/// Takes the protection on, for this process and all it starts, for ever.
pub(super) fn enter(containment: &Containment) -> Result<Tier, ContainError> {
    lower_priority().map_err(|error| refused("limits", error))?;
    let tier = landlock(containment).map_err(|error| refused("Landlock", error))?;
    if tier == Tier::Open {
        return Ok(Tier::Open);
    }
    drop_capabilities().map_err(|error| refused("capabilities", error))?;
    let filtered = seccomp().map_err(|why| ContainError::Refused { what: "seccomp", why })?;
    Ok(if filtered { tier } else { Tier::Partial })
}

/// A node of root: its jobs are no better than anybody's. Without this, `CAP_PERFMON` would open `/proc` of processes
/// that Landlock hides. A program cannot win them back, because Landlock comes with no-new-privileges.
fn drop_capabilities() -> rustix::io::Result<()> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets)
}

fn refused(what: &'static str, error: impl std::error::Error) -> ContainError {
    ContainError::Refused { what, why: error.to_string() }
}

fn landlock(containment: &Containment) -> Result<Tier, landlock::RulesetError> {
    let abi = ABI::V6;
    let readable = SYSTEM.iter().map(PathBuf::from).chain(containment.readable.iter().cloned());
    let writable = SINKS.iter().map(PathBuf::from).chain([containment.scratch.clone()]);
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(readable, AccessFs::from_read(abi)))?
        .add_rules(path_beneath_rules(writable, AccessFs::from_all(abi)))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Tier::Contained,
        RulesetStatus::PartiallyEnforced => Tier::Partial,
        RulesetStatus::NotEnforced => Tier::Open,
    })
}

fn lower_priority() -> Result<(), rustix::io::Errno> {
    // Refused where the owner may not be preferred to others; limits below still hold.
    let _ = rustix::process::nice(NICENESS);
    spawn::idle_io();
    let _ = std::fs::write("/proc/self/oom_score_adj", FIRST_TO_GO);
    for (resource, wanted) in [(Resource::Fsize, FILE_SIZE), (Resource::Nofile, OPEN_FILES)] {
        let present = rustix::process::getrlimit(resource).maximum;
        let bound = Some(present.map_or(wanted, |present| present.min(wanted)));
        rustix::process::setrlimit(resource, Rlimit { current: bound, maximum: bound })?;
    }
    Ok(())
}

/// System calls no engine needs and an attacker would like; anything else stays allowed, because engines change.
#[rustfmt::skip]
const DENIED: &[libc::c_long] = &[
    libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4,
    libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register,
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_pidfd_getfd, libc::SYS_kcmp,
    libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_chroot, libc::SYS_setns, libc::SYS_unshare,
    libc::SYS_open_tree, libc::SYS_move_mount, libc::SYS_fsopen, libc::SYS_fsmount, libc::SYS_mount_setattr,
    libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_keyctl, libc::SYS_add_key,
    libc::SYS_request_key, libc::SYS_open_by_handle_at, libc::SYS_init_module, libc::SYS_finit_module,
    libc::SYS_delete_module, libc::SYS_kexec_load, libc::SYS_reboot, libc::SYS_settimeofday, libc::SYS_clock_settime,
    libc::SYS_clock_adjtime, libc::SYS_adjtimex, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_quotactl,
    libc::SYS_acct, libc::SYS_syslog, libc::SYS_sethostname, libc::SYS_setdomainname,
];

/// Every namespace flag of `clone`.
#[rustfmt::skip]
const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;

/// Installs the filters; false where this processor is not known to them.
fn seccomp() -> Result<bool, String> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(false) };
    // `clone3` passes its flags in memory, where a filter cannot look; a C library told "no such call" uses `clone`.
    let unknown = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    install(unknown, libc::ENOSYS, arch)?;
    let mut denied: BTreeMap<i64, Vec<SeccompRule>> = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    denied.insert(libc::SYS_clone, namespace_rules().map_err(|error| error.to_string())?);
    install(denied, libc::EPERM, arch)?;
    Ok(true)
}

/// One rule a flag: each alone is enough.
fn namespace_rules() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let flags = (0..i32::BITS)
        .map(|bit| 1u64 << bit)
        .filter(|flag| flag & u64::from(NAMESPACES.cast_unsigned()) != 0);
    let rule = |flag| {
        let set = SeccompCmpOp::MaskedEq(flag);
        SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Dword, set, flag)?])
    };
    flags.map(rule).collect()
}

fn install(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32, arch: TargetArch) -> Result<(), String> {
    let action = SeccompAction::Errno(errno.cast_unsigned());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch);
    let program: BpfProgram =
        filter.and_then(TryInto::try_into).map_err(|error: seccompiler::BackendError| error.to_string())?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}
