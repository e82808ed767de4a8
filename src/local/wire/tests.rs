//! Golden bytes: what two builds of one version say to each other must not change unnoticed.

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;

/// The bytes of a value, after checking that they are read back as the same value, and as JSON too.
fn bytes<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) -> Vec<u8> {
    let bytes = cbor4ii::serde::to_vec(Vec::new(), value).unwrap();
    assert_eq!(&cbor4ii::serde::from_slice::<T>(&bytes).unwrap(), value);
    bytes
}

/// Short values in full.
fn golden<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) -> String {
    HEXLOWER.encode(&bytes(value))
}

/// Long values by length and hash.
fn mark<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) -> String {
    let bytes = bytes(value);
    let mut hash = blake3::hash(&bytes).to_hex().to_string();
    hash.truncate(16);
    format!("{} {hash}", bytes.len())
}

fn ask(request: Request) -> Ask {
    Ask { id: 1, cookie: None, request }
}

#[test]
fn hellos() {
    let client = ClientHello { version: 1, program: "meshctl 0.1.0".to_owned() };
    insta::assert_snapshot!(golden(&client), @"a26776657273696f6e016770726f6772616d6d6d65736863746c20302e312e30");
    let server = ServerHello {
        version: 1,
        program: "0.1.0".to_owned(),
        key: sample::KEY,
        name: "desk".to_owned(),
        pid: 7,
        refused: None,
    };
    insta::assert_snapshot!(golden(&server), @"a66776657273696f6e016770726f6772616d65302e312e30636b657958201111111111111111111111111111111111111111111111111111111111111111646e616d65646465736b63706964076772656675736564f6");
}

#[test]
fn requests() {
    let who = || Who::Name("bob".to_owned());
    insta::assert_snapshot!(golden(&ask(Request::Status)), @"a36269640166636f6f6b6965f6677265717565737466537461747573");
    insta::assert_snapshot!(golden(&ask(Request::Why(Who::Key(sample::KEY)))), @"a36269640166636f6f6b6965f66772657175657374a163576879a1634b657958201111111111111111111111111111111111111111111111111111111111111111");
    insta::assert_snapshot!(golden(&ask(Request::Audit { lines: 20 })), @"a36269640166636f6f6b6965f66772657175657374a1654175646974a1656c696e657314");
    let approve = Approve {
        who: who(),
        rights: Rights::ALL,
        depth: 3,
        label: Some("Bob".to_owned()),
        name: "bob-lap".to_owned(),
        despite: vec!["abcdefgh".to_owned()],
    };
    let approve = Ask { id: 2, cookie: Some(Cookie::new([9; 32])), request: Request::Approve(approve) };
    insta::assert_snapshot!(golden(&approve), @"a36269640266636f6f6b6965582009090909090909090909090909090909090909090909090909090909090909096772657175657374a167417070726f7665a66377686fa1644e616d6563626f6266726967687473a2667375626d6974f564776f726bf565646570746803656c6162656c63426f62646e616d6567626f622d6c6170676465737069746581686162636465666768");
    let revoke = Revoke { who: who(), reason: Reason::Lost, note: String::new(), dry_run: true };
    insta::assert_snapshot!(golden(&ask(Request::Revoke(revoke))), @"a36269640166636f6f6b6965f66772657175657374a1665265766f6b65a46377686fa1644e616d6563626f6266726561736f6e646c6f7374646e6f746560676472795f72756ef5");
    insta::assert_snapshot!(golden(&ask(Request::Certificate(vec![1, 2, 3].into()))), @"a36269640166636f6f6b6965f66772657175657374a16b436572746966696361746543010203");
    insta::assert_snapshot!(golden(&ask(Request::Forget { who: who(), keep_denials: true })), @"a36269640166636f6f6b6965f66772657175657374a166466f72676574a26377686fa1644e616d6563626f626c6b6565705f64656e69616c73f5");
    insta::assert_snapshot!(golden(&ask(Request::Dial { address: "/ip4/10.0.0.1/tcp/1".to_owned() })), @"a36269640166636f6f6b6965f66772657175657374a1644469616ca16761646472657373732f6970342f31302e302e302e312f7463702f31");
}

#[test]
fn every_plain_request_has_its_own_bytes() {
    use Request as R;
    let all = [
        R::Recover(Recover::Fresh),
        R::Recover(Recover::Restore),
        R::Found,
        R::Status,
        R::Peers,
        R::Trust,
        R::Key,
        R::Seen,
        R::Pause,
        R::Resume,
        R::Stop,
        R::Watch,
        R::Reload,
    ];
    let text: Vec<String> = all.iter().map(golden).collect();
    insta::assert_snapshot!(text.join("\n"), @"
    a1675265636f766572656672657368
    a1675265636f76657267726573746f7265
    65466f756e64
    66537461747573
    655065657273
    655472757374
    634b6579
    645365656e
    655061757365
    66526573756d65
    6453746f70
    655761746368
    6652656c6f6164
    ");
}

#[test]
fn answers() {
    let answer = |reply| Answer { id: 1, reply };
    insta::assert_snapshot!(golden(&answer(Reply::Ok)), @"a262696401657265706c79624f6b");
    insta::assert_snapshot!(golden(&answer(Reply::Changed(vec![Topic::Status, Topic::Peers, Topic::Trust]))), @"a262696401657265706c79a1674368616e6765648366737461747573657065657273657472757374");
    let error = Error::new(ErrorKind::UnknownPeer, "no bop").hint("try bob");
    insta::assert_snapshot!(golden(&answer(Reply::Error(error))), @"a262696401657265706c79a1654572726f72a4646b696e646c756e6b6e6f776e2d706565726474657874666e6f20626f706468696e746774727920626f62676e65617265737480");
    insta::assert_snapshot!(mark(&answer(Reply::Status(Box::new(sample::status())))), @"652 09f1829f8be51bb9");
    insta::assert_snapshot!(mark(&answer(Reply::Peers(sample::peers()))), @"2677 ce8e9286e2fac8e1");
    insta::assert_snapshot!(mark(&answer(Reply::Trust(Box::new(sample::trust())))), @"2654 3d8b96107fc65a80");
    insta::assert_snapshot!(mark(&answer(Reply::Why(Box::new(sample::why())))), @"900 e72d0b76452e9c9a");
    insta::assert_snapshot!(mark(&answer(Reply::Found(Box::new(sample::found())))), @"461 b2a77781c1223c0d");
    insta::assert_snapshot!(golden(&answer(Reply::Reloaded { waiting: vec!["slots".to_owned()] })), @"a262696401657265706c79a16852656c6f61646564a16777616974696e678165736c6f7473");
    insta::assert_snapshot!(mark(&answer(Reply::Seen(sample::seen()))), @"299 975a7b2a3975f418");
    insta::assert_snapshot!(mark(&answer(Reply::Done(sample::fall()))), @"370 8647a84f85a28b12");
    insta::assert_snapshot!(mark(&answer(Reply::Key(sample::own_key()))), @"119 e1ed04fc216deb51");
    insta::assert_snapshot!(mark(&answer(Reply::Audit(sample::audit()))), @"110 ea93f8fe23135904");
}

#[test]
fn runs_have_no_request_yet() {
    let run = b"\xa1\x63Run\x60";
    assert!(cbor4ii::serde::from_slice::<Request>(run).is_err());
}

#[test]
fn a_key_is_text_for_people_and_bytes_for_programs() {
    let key = sample::KEY;
    assert_eq!(key.to_string().parse(), Ok(key));
    assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{key}\""));
    assert_eq!(serde_json::from_str::<Key>(&format!("\"{key}\"")).unwrap(), key);
    assert!(key.to_string().to_uppercase().parse::<Key>().is_err());
    assert_eq!("ed25519:aaaa".parse::<Key>(), Err(BadKey));
    assert_eq!("".parse::<Key>(), Err(BadKey));
}

#[test]
fn a_cookie_is_never_shown() {
    let cookie = Cookie::new([77; 32]);
    assert!(!format!("{cookie:?}").contains("77"));
    assert_ne!(cookie, Cookie::new([0; 32]));
}
