//! What one Cloakroom reads of another one: requests and answers of the storage protocol, and its change stream.

use bytes::Bytes;
use client::protocol::{
    Decode, Encode, EventReader, ListRequest, Offer, ReapRequest, ScanRequest, decode, encode,
};
use storage::{
    Batch, Burial, Bury, Create, Key, NewRecord, NewValue, Operation, Page, Read, Scan, Times, Touch,
    Unavailable, Update, Version,
};

/// Inputs to begin with: the kind first.
pub const SEEDS: &[&[u8]] = &[
    b"\x00\x03kit\x01a\x01x\x0a\x14\x000123456789abcdef\x00",
    b"\x01\x03kit\x01a\x01\x07",
    b"\x02\x03kit\x01a\x07\x01x\x01\x0a\x140123456789abcdef\x01",
    b"\x04\x03kit\x01a\x01\x64\x0a\x06logout\x03kit\x00",
    b"\x05\x02\x02\x03kit\x01a\x0a\x14\x03\x03kit\x01b\x00\x0a\x06logout\x00\x00",
    b"\x06\x00\x01x\x07\x0a\x14",
    b"\x0b\x01\x03kit\x01a\x07\x0a\x14\x01",
    b"\x0d\x05local\x00\x01\x01\x64\x04full",
    b"\x10id: 7\nevent: change\ndata: A2tpdAFhBwA\n\n:\n\nid: 8\nevent: gap\ndata: -\n\n",
];

/// What it is made of.
pub const WORDS: &[&[u8]] =
    &[b"\x03kit\x01a", b"\x06logout", b"id: ", b"event: change\n", b"data: ", b"\xff\xff\xff\xff\x0f"];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let bytes = Bytes::copy_from_slice(bytes);
    match kind {
        0 => survives::<(Key, NewRecord)>(&bytes),
        1 => survives::<(Key, Option<Version>)>(&bytes),
        2 => survives::<(Key, NewValue)>(&bytes),
        3 => survives::<(Key, Times)>(&bytes),
        4 => survives::<(Key, Burial)>(&bytes),
        5 => survives::<Vec<Operation>>(&bytes),
        6 => survives::<Read>(&bytes),
        7 => survives::<Create>(&bytes),
        8 => survives::<Update>(&bytes),
        9 => survives::<(Touch, Bury)>(&bytes),
        10 => survives::<Batch>(&bytes),
        11 => survives::<Page>(&bytes),
        12 => survives::<Scan>(&bytes),
        13 => survives::<Unavailable>(&bytes),
        14 => survives::<(ListRequest, ScanRequest)>(&bytes),
        15 => survives::<(Offer, ReapRequest)>(&bytes),
        _ => a_stream_is_read_however_it_is_cut(&bytes),
    }
}

/// What is read is written so that it is read as the same, and no longer than a varint and a name may make it.
fn survives<T: Decode + Encode>(bytes: &Bytes) {
    let Ok(value) = decode::<T>(bytes) else { return };
    let written = encode(&value);
    let again = decode::<T>(&written);
    assert!(again.is_ok_and(|again| encode(&again) == written), "what was written is not what is read");
}

fn a_stream_is_read_however_it_is_cut(bytes: &Bytes) {
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    let read = EventReader::default().take(bytes, &mut whole);
    let mut reader = EventReader::default();
    let cut = bytes.chunks(3).try_for_each(|part| reader.take(part, &mut parts));
    assert_eq!((read, &whole), (cut, &parts));
}
