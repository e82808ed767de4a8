//! Server and client over real sockets in scratch folders, with a small task in the node's place.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use crate::local::client::{Client, ClientError};
use crate::local::frame::Inbox;
use crate::local::wire::{Ask, ClientHello, Key, REQUEST_MAX, Topic, VERSION};

const COOKIE: Cookie = Cookie::new([7; 32]);

struct Scratch {
    _folder: tempfile::TempDir,
    socket: PathBuf,
}

fn scratch() -> Scratch {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let socket = folder.path().join("mesh.sock");
    Scratch { _folder: folder, socket }
}

fn hello() -> ServerHello {
    ServerHello {
        version: VERSION,
        program: "0.1.0".to_owned(),
        key: Key([1; 32]),
        name: "desk".to_owned(),
        pid: 42,
        refused: None,
    }
}

fn bind(socket: &Path) -> Result<Server, BindError> {
    Server::bind(socket, hello(), COOKIE)
}

/// Answers like a node that knows little: `Peers` with none, `Watch` with one change, `Stop` by ending.
async fn node(mut server: Server) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let event = server.next().await;
        events.push(event.clone());
        let Event::Asked { connection, id, request } = event else { continue };
        match request {
            Request::Peers => assert!(server.reply(connection, id, Reply::Peers(Vec::new()))),
            Request::Watch => {
                assert!(server.reply(connection, id, Reply::Ok));
                assert!(server.reply(connection, id, Reply::Changed(vec![Topic::Peers])));
            }
            Request::Stop => {
                assert!(server.reply(connection, id, Reply::Ok));
                server.shutdown().await;
                return events;
            }
            _ => assert!(server.reply(connection, id, Reply::Ok)),
        }
    }
}

/// Runs a node and a client's side of the story; the story must stop the node.
fn story<F: Future<Output = ()>>(socket: &Path, client: impl FnOnce(PathBuf) -> F) -> Vec<Event> {
    run(async {
        let node = node(bind(socket).unwrap());
        tokio::join!(node, client(socket.to_owned())).0
    })
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn connect(socket: &Path) -> Client {
    Client::connect(socket, "test", Some(COOKIE)).await.unwrap()
}

async fn stop(socket: &Path) {
    let mut client = connect(socket).await;
    assert_eq!(client.ask(Request::Stop).await.unwrap(), Reply::Ok);
    client.closed().await;
}

/// A client that says what it likes.
async fn raw(socket: &Path, frames: &[Vec<u8>]) -> UnixStream {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    for frame in frames {
        stream.write_all(frame).await.unwrap();
    }
    stream
}

/// All the node says until it closes: its hello, and answers.
async fn listen(mut stream: UnixStream) -> (ServerHello, Vec<Answer>) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let mut inbox = Inbox::new(REPLY_MAX);
    inbox.room().extend_from_slice(&bytes);
    let hello = inbox.next().unwrap().unwrap();
    let answers = std::iter::from_fn(|| inbox.next().unwrap()).collect();
    (hello, answers)
}

fn client_hello(version: u32) -> Vec<u8> {
    frame::encode(&ClientHello { version, program: "old \u{1b}meshctl".to_owned() }, REQUEST_MAX).unwrap()
}

#[test]
fn questions_are_answered_and_the_socket_goes_with_the_node() {
    let scratch = scratch();
    let events = story(&scratch.socket, async |socket| {
        let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut client = connect(&socket).await;
        assert_eq!(client.node(), &hello());
        assert_eq!(client.ask(Request::Peers).await.unwrap(), Reply::Peers(Vec::new()));
        assert_eq!(client.ask(Request::Pause).await.unwrap(), Reply::Ok);
        drop(client);
        stop(&socket).await;
        assert!(!socket.exists());
    });
    let requests: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Asked { request, .. } => Some(request.clone()),
            Event::Gone(_) => None,
        })
        .collect();
    assert_eq!(requests, [Request::Peers, Request::Pause, Request::Stop]);
    assert!(events.contains(&Event::Gone(ConnectionId(1))));
}

#[test]
fn changes_come_beside_answers() {
    let scratch = scratch();
    story(&scratch.socket, async |socket| {
        let mut client = connect(&socket).await;
        assert_eq!(client.ask(Request::Watch).await.unwrap(), Reply::Ok);
        // The change comes first and waits.
        assert_eq!(client.ask(Request::Peers).await.unwrap(), Reply::Peers(Vec::new()));
        assert_eq!(client.changed().await.unwrap(), [Topic::Peers].into());
        stop(&socket).await;
    });
}

#[test]
fn what_changes_trust_needs_the_cookie() {
    let scratch = scratch();
    let events = story(&scratch.socket, async |socket| {
        for cookie in [None, Some(Cookie::new([8; 32]))] {
            let mut client = Client::connect(&socket, "test", cookie).await.unwrap();
            let error = client.ask(Request::Pause).await.unwrap_err();
            let ClientError::Refused(error) = error else { panic!("{error}") };
            assert_eq!(error.kind, ErrorKind::Unauthorised);
            // Looking is allowed, and the connection goes on.
            assert_eq!(client.ask(Request::Peers).await.unwrap(), Reply::Peers(Vec::new()));
        }
        stop(&socket).await;
    });
    assert!(!events.iter().any(|event| matches!(event, Event::Asked { request: Request::Pause, .. })));
}

#[test]
fn the_cookie_is_asked_for_what_changes_something() {
    let who = || crate::local::wire::Who::Name("x".to_owned());
    assert_eq!(authorised(&Request::Status, None, &COOKIE), Ok(()));
    assert_eq!(authorised(&Request::Why(who()), None, &COOKIE), Ok(()));
    assert_eq!(
        authorised(&Request::Forget { who: who(), keep_denials: false }, Some(&COOKIE), &COOKIE),
        Ok(())
    );
    let mut almost = COOKIE.bytes();
    almost[31] ^= 1;
    let missing = authorised(&Request::Block(who()), None, &COOKIE).unwrap_err();
    let wrong = authorised(&Request::Block(who()), Some(&Cookie::new(almost)), &COOKIE).unwrap_err();
    assert_eq!(missing.text, "this request needs the node's cookie");
    assert_eq!(wrong.text, "the cookie is not this node's");
}

#[test]
fn another_version_is_told_so_and_not_served() {
    let scratch = scratch();
    let events = story(&scratch.socket, async |socket| {
        let ask = Ask { id: 1, cookie: None, request: Request::Peers };
        let frames = [client_hello(VERSION + 1), frame::encode(&ask, REQUEST_MAX).unwrap()];
        let (hello, answers) = listen(raw(&socket, &frames).await).await;
        insta::assert_snapshot!(hello.refused.unwrap(), @"this node speaks version 1 of its socket, old meshctl speaks 2");
        assert_eq!(answers, []);
        stop(&socket).await;
    });
    assert_eq!(events.len(), 1);
}

#[test]
fn a_node_of_another_version_is_named() {
    let scratch = scratch();
    run(async {
        let old = ServerHello { version: VERSION + 1, program: "0.9.0".to_owned(), ..hello() };
        let server = Server::bind(&scratch.socket, old, COOKIE).unwrap();
        let error = Client::connect(&scratch.socket, "test", None).await.unwrap_err();
        insta::assert_snapshot!(error, @"
        the node that runs here is another version (0.9.0; its socket speaks 2, this program 1)
        hint: `meshctl restart` after an update
        ");
        server.shutdown().await;
    });
}

#[test]
fn oversized_and_senseless_frames_end_only_their_sender() {
    let scratch = scratch();
    let oversized = u32::MAX.to_le_bytes().to_vec();
    let senseless = frame::encode(&"no request", REQUEST_MAX).unwrap();
    let events = story(&scratch.socket, async |socket| {
        for bad in [oversized, senseless] {
            let (hello, answers) = listen(raw(&socket, &[client_hello(VERSION), bad]).await).await;
            assert_eq!(hello.refused, None);
            let [Answer { id: 0, reply: Reply::Error(error) }] = answers.as_slice() else {
                panic!("{answers:?}")
            };
            assert_eq!(error.kind, ErrorKind::Invalid);
        }
        let (hello, _) = listen(raw(&socket, &[u32::MAX.to_le_bytes().to_vec()]).await).await;
        assert_eq!(hello.refused.as_deref(), Some("a message of 4294967295 bytes is larger than 4096"));
        stop(&socket).await;
    });
    assert_eq!(events.len(), 1);
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_others_are_served() {
    let scratch = scratch();
    run(async {
        let mut server = bind(&scratch.socket).unwrap();
        let mut slow = connect(&scratch.socket).await;
        slow.send(Request::Watch).await.unwrap();
        let Event::Asked { connection, id, .. } = server.next().await else { panic!("no request") };
        let mut replies = 0;
        while server.reply(connection, id, Reply::Changed(vec![Topic::Peers; 1_000])) {
            replies += 1;
            assert!(replies < 100 * REPLIES_MAX, "nothing stops it");
            tokio::task::yield_now().await;
        }
        assert!(replies >= REPLIES_MAX);
        assert!(!server.reply(connection, id, Reply::Ok));
        let served = tokio::spawn(node(server));
        // What was on its way is still read, then the end.
        slow.closed().await;
        stop(&scratch.socket).await;
        let events = served.await.unwrap();
        assert!(!events.contains(&Event::Gone(connection)));
    });
}

#[test]
fn there_is_room_for_so_many() {
    let scratch = scratch();
    story(&scratch.socket, async |socket| {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS_MAX {
            clients.push(connect(&socket).await);
        }
        let error = Client::connect(&socket, "test", None).await.unwrap_err();
        assert_eq!(error.to_string(), "the node turned this program away: this node has 64 clients already");
        // Each of those is served.
        let mut last = clients.pop().unwrap();
        assert_eq!(last.ask(Request::Stop).await.unwrap(), Reply::Ok);
        drop(clients);
        last.closed().await;
    });
}

#[test]
fn no_node_is_an_error_that_helps() {
    let scratch = scratch();
    let error = run(Client::connect(&scratch.socket, "test", None)).unwrap_err();
    assert!(matches!(error, ClientError::NoNode(_)));
    assert!(error.to_string().ends_with("\nhint: `meshctl start` starts one"));
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let scratch = scratch();
    drop(std::os::unix::net::UnixListener::bind(&scratch.socket).unwrap());
    assert!(scratch.socket.exists());
    story(&scratch.socket, async |socket| {
        assert!(matches!(bind(&socket).unwrap_err(), BindError::Answered(_)));
        stop(&socket).await;
    });
}

#[test]
fn what_is_no_socket_and_what_is_open_to_others_is_left_alone() {
    let scratch = scratch();
    std::fs::write(&scratch.socket, "precious").unwrap();
    assert!(matches!(run(async { bind(&scratch.socket) }).unwrap_err(), BindError::NotASocket(_)));
    assert_eq!(std::fs::read(&scratch.socket).unwrap(), b"precious");
    let open = scratch.socket.with_file_name("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(matches!(run(async { bind(&open.join("s")) }).unwrap_err(), BindError::Open(_)));
}

#[test]
fn a_path_too_long_for_the_kernel_is_said() {
    let long = Path::new("/tmp").join("x".repeat(SOCKET_PATH_MAX));
    let error = run(async { bind(&long) }).unwrap_err();
    assert!(matches!(error, BindError::TooLong(_)));
    assert!(error.to_string().contains("hint: give a shorter --home"));
}
