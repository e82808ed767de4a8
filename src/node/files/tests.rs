//! Homes in scratch folders: made once, private, locked, and left alone where something is wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn scratch() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(&folder.path().join("home"));
    (folder, home)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// An error without the scratch folder.
fn words(error: &HomeError, folder: &Path) -> String {
    error.to_string().replace(folder.to_str().unwrap(), "/scratch")
}

#[test]
fn setup_makes_a_private_home_once() {
    let (_folder, home) = scratch();
    let made = home.setup(Some("desk"), None).unwrap();
    assert!(made.contains(&home.cookie_file()) && made.contains(&home.settings_file()));
    assert_eq!((mode(home.keys()), mode(&home.cookie_file())), (0o700, 0o600));
    assert_eq!(mode(home.socket().parent().unwrap()), 0o700);
    let cookie = home.cookie().unwrap();

    assert_eq!(home.setup(Some("another"), None).unwrap(), Vec::<PathBuf>::new());
    assert_eq!(home.cookie().unwrap(), cookie);
    assert_eq!(home.settings().unwrap().name, "desk");
}

#[test]
fn two_homes_have_two_cookies() {
    let (_one, one) = scratch();
    let (_two, two) = scratch();
    one.setup(None, None).unwrap();
    two.setup(None, None).unwrap();
    assert_ne!(one.cookie().unwrap(), two.cookie().unwrap());
}

#[test]
fn a_home_that_cannot_be_made_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let mut home = Home::at(&folder.path().join("home"));
    // The last folder to be made is below a file: not even root can make it.
    home.runtime = folder.path().join("file/run");
    let error = home.setup(None, None).unwrap_err();
    insta::assert_snapshot!(words(&error, folder.path()), @"
    cannot make /scratch/file; nothing was changed
    hint: is it writable? another folder can be given with --home
    ");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["file"]);
}

#[test]
fn what_is_not_kept_goes_again() {
    let (folder, home) = scratch();
    drop(home.setup_unless_dropped(None, None).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_name_that_cannot_be_leaves_nothing() {
    let (folder, home) = scratch();
    let error = home.setup(Some("a\nb"), None).unwrap_err();
    assert_eq!(error.to_string(), "the name holds control characters");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_socket_the_kernel_cannot_name_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::at(&folder.path().join("a".repeat(100)));
    let error = home.setup(None, None).unwrap_err();
    assert!(matches!(error, HomeError::Socket(BindError::TooLong(_))));
    let text = error.to_string();
    assert!(text.contains("107 fit") || text.contains("103 fit"), "{text}");
    assert!(text.contains("hint: give a shorter --home"), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn files_that_are_missing_loose_or_damaged_are_named() {
    let (folder, home) = scratch();
    insta::assert_snapshot!(words(&home.settings().unwrap_err(), folder.path()), @"
    no node is set up in /scratch/home: /scratch/home/config.toml is missing
    hint: `meshctl setup` makes one
    ");
    home.setup(None, None).unwrap();
    fs::set_permissions(home.cookie_file(), PermissionsExt::from_mode(0o640)).unwrap();
    insta::assert_snapshot!(words(&home.cookie().unwrap_err(), folder.path()), @"
    /scratch/home/cookie is open to others (mode 0640)
    hint: chmod 0600 /scratch/home/cookie
    ");
    fs::set_permissions(home.cookie_file(), PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(home.cookie_file(), "short").unwrap();
    insta::assert_snapshot!(words(&home.cookie().unwrap_err(), folder.path()), @"/scratch/home/cookie is damaged: it should hold 32 bytes; remove it, then `meshctl setup` and `meshctl restart`");
    fs::set_permissions(home.keys(), PermissionsExt::from_mode(0o755)).unwrap();
    insta::assert_snapshot!(words(&home.setup(None, None).unwrap_err(), folder.path()), @"
    /scratch/home is open to others (mode 0755)
    hint: chmod 0700 /scratch/home
    ");
}

#[test]
fn one_node_a_home() {
    let (folder, home) = scratch();
    assert_eq!(home.running().unwrap(), None);
    home.setup(None, None).unwrap();
    let lock = home.lock().unwrap();
    let own = i32::try_from(std::process::id()).unwrap();
    assert_eq!(home.running().unwrap(), Some(Running { pid: Some(own), socket: Some(home.socket()) }));
    let error = words(&home.lock().unwrap_err(), folder.path()).replace(&own.to_string(), "PID");
    insta::assert_snapshot!(error, @"
    a node runs in /scratch/home already (process PID)
    hint: `meshctl status` shows it; several nodes on one host need a --home each
    ");
    drop(lock);
    assert_eq!(home.running().unwrap(), None);
    // What the file says does not matter: nobody holds it.
    assert_eq!(home.live_socket(), home.socket());
    home.lock().unwrap();
}

#[test]
fn a_client_finds_the_socket_of_a_node_with_another_runtime_folder() {
    let (folder, home) = scratch();
    home.setup(None, None).unwrap();
    let node = Home { runtime: folder.path().join("elsewhere"), ..home.clone() };
    let _lock = node.lock().unwrap();
    assert_eq!(home.live_socket(), node.socket());
}
