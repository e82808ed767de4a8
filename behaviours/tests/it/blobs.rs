//! Blob streams: bursts lose nothing, bounds hold, frames carry requests and answers.

use futures::future::join_all;
use futures::{AsyncReadExt, AsyncWriteExt};
use testmesh_behaviours::blobs::INBOUND_MAX;
use testmesh_behaviours::blobs::stream::BlobStream;
use testmesh_behaviours::blobs::wire::{
    Answer, Ask, BlobId, FrameError, VERSION, Want, read_frame, write_frame,
};
use testmesh_behaviours::event::{Event, Failure};
use testmesh_behaviours::network::Network;

use crate::support::{answer, befriend, connect, guarded, name, nodes};

/// Serves streams: as many bytes as the first want's offset says.
async fn serve(mut stream: BlobStream) {
    let ask: Ask = read_frame(&mut stream).await.unwrap();
    let length = ask.wants[0].offset;
    write_frame(&mut stream, &Answer::Sending { length }).await.unwrap();
    stream.write_all(&vec![7; usize::try_from(length).unwrap()]).await.unwrap();
    stream.close().await.unwrap();
}

/// Drives both nodes for ever; streams that arrive are served.
async fn serving(nodes: &mut [Network]) {
    loop {
        let all = nodes.iter_mut().map(|node| Box::pin(node.next()));
        let (event, index, _) = futures::future::select_all(all).await;
        match event {
            Event::BlobStream { stream, .. } => drop(tokio::spawn(serve(stream))),
            event => answer(&mut nodes[index], event),
        }
    }
}

async fn fetch(stream: &mut BlobStream, length: u64) -> usize {
    let want = Want { id: BlobId::new([3; 32]), offset: length, most: length, insist: false };
    write_frame(stream, &Ask { version: VERSION, wants: vec![want] }).await.unwrap();
    let answer: Answer = read_frame(stream).await.unwrap();
    assert_eq!(answer, Answer::Sending { length });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    received.len()
}

#[tokio::test]
async fn a_burst_of_streams_from_both_sides_loses_none() {
    guarded(async {
        let mut nodes = nodes(2).await;
        connect(&mut nodes, 0, 1).await;
        befriend(&mut nodes, 0, 1).await;
        let there: Vec<_> = (0..INBOUND_MAX).map(|_| nodes[0].open_blob(name(2))).collect();
        let back: Vec<_> = (0..INBOUND_MAX).map(|_| nodes[1].open_blob(name(1))).collect();
        let fetches = there.into_iter().chain(back).enumerate().map(|(number, opening)| async move {
            let length = 100_000 + number as u64;
            assert_eq!(fetch(&mut opening.await.unwrap(), length).await as u64, length);
        });
        tokio::select! {
            _ = join_all(fetches) => {}
            () = serving(&mut nodes) => unreachable!(),
        }
    })
    .await;
}

#[tokio::test]
async fn one_stream_more_than_allowed_is_refused_and_a_place_comes_back() {
    guarded(async {
        let mut nodes = nodes(2).await;
        connect(&mut nodes, 0, 1).await;
        befriend(&mut nodes, 0, 1).await;
        let openings: Vec<_> = (0..INBOUND_MAX).map(|_| nodes[0].open_blob(name(2))).collect();
        let mut held = tokio::select! {
            held = join_all(openings) => held,
            () = serving(&mut nodes) => unreachable!(),
        };
        assert!(held.iter().all(Result::is_ok));
        let more = nodes[0].open_blob(name(2));
        let refused = tokio::select! {
            refused = more => refused.map(drop),
            () = serving(&mut nodes) => unreachable!(),
        };
        assert_eq!(refused, Err(Failure::Busy));
        held.pop();
        let again = nodes[0].open_blob(name(2));
        let opened = tokio::select! {
            opened = again => opened.map(drop),
            () = serving(&mut nodes) => unreachable!(),
        };
        // The other side may not have noticed yet that the stream is gone.
        assert!(matches!(opened, Ok(()) | Err(Failure::NotAdmitted)));
    })
    .await;
}

#[tokio::test]
async fn frames_have_a_bound() {
    let mut long = futures::io::Cursor::new(vec![0xff; 2_000]);
    assert!(matches!(read_frame::<Answer>(&mut long).await, Err(FrameError::TooLong(0xffff))));
    let mut short = futures::io::Cursor::new(vec![0, 9, 1]);
    assert!(matches!(read_frame::<Answer>(&mut short).await, Err(FrameError::Io(_))));
    let mut wrong = futures::io::Cursor::new(vec![0, 1, 0x1b]);
    assert!(matches!(read_frame::<Answer>(&mut wrong).await, Err(FrameError::Malformed(_))));
}

#[tokio::test]
async fn nobody_opens_a_stream_without_a_connection() {
    let mut nodes = nodes(1).await;
    assert_eq!(nodes[0].open_blob(name(9)).await.map(drop), Err(Failure::NotTrusted));
    nodes[0].admit(name(9));
    assert_eq!(nodes[0].open_blob(name(9)).await.map(drop), Err(Failure::NotConnected));
}
