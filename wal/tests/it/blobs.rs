//! Blobs: whole or not there.

use std::io::{Read as _, Write as _};

use tempfile::TempDir;
use wal::{BlobError, Blobs, Files, Restart, SimDirectory, Trouble};

fn write<F: Files>(blobs: &mut Blobs<F>, number: u64, bytes: &[u8]) -> Result<(), BlobError> {
    let mut writer = blobs.write(number)?;
    for part in bytes.chunks(70_001) {
        writer.write_all(part).map_err(|source| BlobError::Io {
            action: "write",
            file: number.to_string(),
            source,
        })?;
    }
    writer.commit()
}

fn read<F: Files>(blobs: &mut Blobs<F>, number: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    blobs.read(number)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * at / 7) as u8).collect()
}

#[test]
fn what_was_written_is_read_at_any_length() {
    let directory = TempDir::new().expect("a directory");
    let mut blobs = Blobs::open(directory.path()).expect("it opens");
    for (number, len) in [0, 1, (256 << 10) - 1, 256 << 10, 600_000].into_iter().enumerate() {
        write(&mut blobs, number as u64, &bytes(len)).expect("it is written");
        assert_eq!(read(&mut blobs, number as u64).expect("it is read"), bytes(len));
        blobs.read(number as u64).expect("it is there").verify().expect("it is sound");
    }
    assert!(matches!(Blobs::open(directory.path()), Err(BlobError::Locked { .. })));
    drop(blobs.write(9).expect("it begins"));
    drop(blobs);
    let mut blobs = Blobs::open(directory.path()).expect("it opens");
    blobs.remove_before(3).expect("they go");
    assert_eq!(blobs.list().expect("it lists"), [3, 4]);
    assert!(matches!(blobs.read(9), Err(BlobError::Missing { number: 9 })));
}

#[test]
fn a_crash_at_any_operation_leaves_the_old_blob_or_the_new_one() {
    for number in 1..30 {
        for restart in [Restart::Process, Restart::Power] {
            let directory = SimDirectory::new(number);
            let mut blobs = Blobs::open_in(directory.clone()).expect("it opens");
            write(&mut blobs, 1, &bytes(1000)).expect("it is written");
            directory.trouble_at(directory.operations() + number, Trouble::Crash);
            let done = write(&mut blobs, 1, &bytes(900)).is_ok();
            drop(blobs);
            directory.restart(restart);
            let mut blobs = Blobs::open_in(directory.clone()).expect("it opens");
            let found = read(&mut blobs, 1).expect("one of them is there");
            assert!(found == bytes(900) || (!done && found == bytes(1000)), "at {number}");
            assert_eq!(blobs.list().expect("it lists"), [1]);
        }
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let directory = SimDirectory::new(0);
    let name = "blob-00000000000000000001";
    let mut blobs = Blobs::open_in(directory.clone()).expect("it opens");
    write(&mut blobs, 1, &bytes(60)).expect("it is written");
    let sound = directory.contents(name).expect("it is there");
    for bit in 0..sound.len() * 8 {
        let mut flipped = sound.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        directory.put(name, &flipped);
        assert!(read(&mut blobs, 1).is_err(), "bit {bit}");
    }
    for len in 0..sound.len() {
        directory.put(name, &sound[..len]);
        assert!(read(&mut blobs, 1).is_err(), "cut at {len}");
    }
    let mut later = sound.clone();
    later[16] = 2;
    directory.put(name, &later);
    assert!(matches!(blobs.read(1), Err(BlobError::Version { found: 2, .. })));
    directory.put("blob-00000000000000000002", &sound);
    assert!(matches!(blobs.read(2), Err(BlobError::Corrupt { offset: 0, .. })));
}
