//! What was acknowledged outlives its leaders.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::processes::{Nodes, Redis, answers};
use crate::wait::eventually;

const KILLS: u64 = 50;
const CLIENTS: u64 = 3;

/// Sets key after key until it is over, at any node that takes it; which were acknowledged.
fn write(
    fronts: &[SocketAddr],
    client: u64,
    over: &AtomicBool,
    acknowledged: &AtomicU64,
) -> Vec<String> {
    let mut keys = Vec::new();
    let mut turn = client as usize;
    let mut redis = None;
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{client}-{number}");
        let front = fronts[turn % fronts.len()];
        let answer = match &mut redis {
            None => {
                redis = Redis::connect(front);
                redis.as_mut().and_then(|redis| redis.ask(&["SET", &key, &key]))
            }
            Some(redis) => redis.ask(&["SET", &key, &key]),
        };
        match answer.as_deref() {
            Some("+OK") => {
                keys.push(key);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            // The node was killed, or knows nobody who would take it: the next one may.
            _ => {
                redis = None;
                turn += 1;
            }
        }
    }
    keys
}

/// The leader is killed, and again the next, fifty times under load; each is started again. Every node
/// has every write that any node has acknowledged.
#[test]
fn no_acknowledged_write_is_lost_when_leaders_are_killed_fifty_times() {
    let mut nodes = Nodes::start();
    answers(nodes.fronts[0], &["SET", "first", "1"], "+OK");
    let (over, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let fronts = nodes.fronts.clone();
    let keys: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (fronts, over, acknowledged) = (&fronts, &over, &acknowledged);
                scope.spawn(move || write(fronts, client, over, acknowledged))
            })
            .collect();
        for _ in 0..KILLS {
            let leader = nodes.leader();
            nodes.process(leader).kill();
            nodes.running[leader] = None;
            let before = acknowledged.load(Ordering::Relaxed);
            eventually("nobody serves on", || {
                (acknowledged.load(Ordering::Relaxed) > before + CLIENTS).then_some(())
            });
            nodes.boot(leader);
            answers(nodes.fronts[leader], &["PING"], "+PONG");
        }
        over.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("it writes")).collect()
    });
    assert!(keys.len() as u64 > KILLS, "{} writes were acknowledged", keys.len());
    for &front in &nodes.fronts {
        answers(front, &["GET", "first"], "1");
        let mut redis = Redis::connect(front).expect("it listens");
        for key in &keys {
            assert_eq!(redis.ask(&["GET", key]).as_ref(), Some(key), "at {front}");
        }
    }
    println!("{} writes were acknowledged, and none was lost", keys.len());
}
