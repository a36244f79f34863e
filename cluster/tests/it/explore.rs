//! The world of every schedule: what it searches, what it leaves out, what it finds.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use cluster::explore::{
    Ask, Audit, Bounds, Broken, Clocks, Disk, Ended, Explorable, Fingerprint, Frame, Happened,
    Limits, Links, Model, Play, Property, Report, Step, Verdict, View,
};
use cluster::{
    Boot, CorruptRecords, EffectsOf, Epoch, Input, InputOf, InvalidConfig, Members, Node, NodeId,
    Now, Role, Standing, Timestamp,
};

const N1: NodeId = NodeId::new(1);
const N2: NodeId = NodeId::new(2);
const BEAT: Duration = Duration::from_millis(10);

/// Writes down each number it is asked to, tells the others, and answers, once it is durable.
#[derive(Clone)]
struct Clerk {
    config: Config,
    id: NodeId,
    members: Members,
    written: Vec<u8>,
    /// In the order of arrival.
    heard: Vec<u8>,
    due: Timestamp,
    beats: u8,
}

#[derive(Clone, Debug, Default)]
struct Config {
    /// Answers, and tells, before it is durable.
    eager: bool,
    /// Its fingerprint leaves out what it has heard, though it answers with it.
    forgetful: bool,
    /// It has a timer.
    beats: bool,
    /// It tells nobody.
    silent: bool,
}

#[derive(Clone, Debug, Hash)]
enum Request {
    Write(u8),
    Heard,
}

impl Node for Clerk {
    type Config = Config;
    type Request = Request;
    type Response = Vec<u8>;
    type Message = u8;
    type Record = u8;
    type Event = u8;

    fn validate(_config: &Config, _members: &Members) -> Result<(), InvalidConfig> {
        Ok(())
    }

    fn boot(
        config: &Config,
        boot: Boot<u8>,
        _out: &mut EffectsOf<Self>,
    ) -> Result<Self, CorruptRecords> {
        Ok(Self {
            config: config.clone(),
            id: boot.id,
            members: boot.members,
            written: boot.records,
            heard: Vec::new(),
            due: boot.now.monotonic + BEAT * boot.id.get(),
            beats: 0,
        })
    }

    fn handle(&mut self, now: Now, input: InputOf<Self>, out: &mut EffectsOf<Self>) {
        match input {
            Input::Request { id, body: Request::Write(number) } => {
                self.written.push(number);
                out.persist(number);
                for other in self.members.others(self.id) {
                    match (self.config.silent, self.config.eager) {
                        (true, _) => {}
                        (false, true) => out.send_now(other, number),
                        (false, false) => out.send(other, number),
                    }
                }
                if self.config.eager {
                    out.respond_now(id, vec![number]);
                } else {
                    out.respond(id, vec![number]);
                }
            }
            Input::Request { id, body: Request::Heard } => out.respond(id, self.heard.clone()),
            Input::Message { body, .. } => self.heard.push(body),
            Input::Timer => {
                assert!(now.monotonic >= self.due, "a timer fires when it is due");
                self.due = now.monotonic + BEAT * self.id.get();
                self.beats += 1;
                out.emit(self.beats);
            }
            Input::Ended { .. } | Input::Durable(_) => {}
        }
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.config.beats.then_some(self.due)
    }

    fn standing(&self, _now: Now) -> Standing {
        Standing { role: Role::Replica, epoch: Epoch::ZERO, leader: None }
    }
}

impl Explorable for Clerk {
    const INTERCHANGEABLE: bool = true;

    fn reseed(&mut self, _seed: u64) {}

    fn fingerprint(&self, frame: &Frame<'_>, into: &mut Fingerprint) {
        self.written.hash(into);
        if self.config.forgetful {
            into.write_usize(self.heard.len().min(1));
        } else {
            self.heard.hash(into);
        }
        into.write_u64(frame.alarm(self.due));
        into.write_u8(self.beats);
    }
}

/// What a test asks of every state, remembering every answer and every beat.
#[derive(Clone)]
struct Check {
    answers: BTreeMap<usize, Vec<u8>>,
    steps: Vec<Step>,
    look: fn(&Self, &View<'_, Clerk>) -> Result<(), String>,
    end: fn(&Self, &View<'_, Clerk>) -> Result<(), String>,
}

impl Check {
    fn nothing() -> Self {
        Self {
            answers: BTreeMap::new(),
            steps: Vec::new(),
            look: |_, _| Ok(()),
            end: |_, _| Ok(()),
        }
    }

    fn always(look: fn(&Self, &View<'_, Clerk>) -> Result<(), String>) -> Self {
        Self { look, ..Self::nothing() }
    }

    fn at_the_end(end: fn(&Self, &View<'_, Clerk>) -> Result<(), String>) -> Self {
        Self { end, ..Self::nothing() }
    }
}

fn broken(what: String) -> Broken {
    Broken { guarantee: "as it should be", what }
}

impl Property<Clerk> for Check {
    fn observe(
        &mut self,
        view: &View<'_, Clerk>,
        happened: &Happened<'_, Clerk>,
    ) -> Result<(), Broken> {
        self.steps.push(happened.step);
        for (request, ended) in happened.ended {
            if let Ended::Answered(answer) = ended {
                self.answers.insert(*request, answer.clone());
            }
        }
        (self.look)(self, view).map_err(broken)
    }

    fn end(&self, view: &View<'_, Clerk>) -> Result<(), Broken> {
        (self.end)(self, view).map_err(broken)
    }

    fn fingerprint(&self, _frame: &Frame<'_>, into: &mut Fingerprint) {
        self.answers.hash(into);
    }
}

fn model(nodes: usize, script: Vec<Ask<Request>>, bounds: Bounds) -> Model<Clerk> {
    let members = Members::first(nodes).unwrap();
    Model { config: Config::default(), members, script, opening: Vec::new(), bounds }
}

fn write(number: u8) -> Ask<Request> {
    Ask::of(N1, Request::Write(number))
}

fn explore(model: &Model<Clerk>, check: Check) -> Report {
    model.explore(check, &Limits::default()).unwrap()
}

#[track_caller]
fn check_holds(model: &Model<Clerk>, check: Check) -> Report {
    let report = explore(model, check);
    assert_eq!(report.verdict, Verdict::Exhausted);
    report
}

#[track_caller]
fn check_breaks(model: &Model<Clerk>, check: Check, steps: &[&str]) {
    let report = explore(model, check);
    let counterexample = report.counterexample().expect("it breaks");
    assert_eq!(counterexample.steps, steps);
}

#[test]
fn counts_what_can_be_counted_by_hand() {
    // Asked, synced (answered and sent), arrived: one after the other.
    let one = model(2, vec![write(7)], Bounds::default());
    let report = check_holds(&one, Check::nothing());
    assert_eq!((report.distinct, report.generated, report.depth, report.ends), (4, 4, 3, 1));
    // A disk that needs no time saves a step.
    let instant = Bounds { disk: Disk::Instant, ..Bounds::default() };
    let report = check_holds(&model(2, vec![write(7)], instant), Check::nothing());
    assert_eq!((report.distinct, report.depth), (3, 2));
    // Three receivers of one number each: every subset of them may have it.
    let report = check_holds(&model(4, vec![write(7)], instant), Check::nothing());
    assert_eq!((report.distinct, report.ends), (1 + 8, 1));
}

#[test]
fn interchangeable_nodes_are_taken_for_each_other() {
    let anyone = vec![Ask::anyone(Request::Write(7))];
    let report = check_holds(&model(3, anyone.clone(), Bounds::default()), Check::nothing());
    let named = Bounds { symmetry: false, ..Bounds::default() };
    let all = check_holds(&model(3, anyone, named), Check::nothing());
    // Asked, synced, then how many of the two others have heard; against: each of three may be
    // asked, and which of the others have heard.
    assert_eq!((report.distinct, all.distinct), (5, 16));
}

#[test]
fn what_was_answered_survives_every_crash_unless_it_was_answered_too_soon() {
    fn kept(check: &Check, view: &View<'_, Clerk>) -> Result<(), String> {
        let (_, disk) = view.disks().next().expect("n1");
        let lost = check.answers.values().flatten().find(|answer| !disk.contains(answer));
        lost.map_or(Ok(()), |number| Err(format!("{number} was answered and is not on the disk")))
    }
    /// Between an answer and its sync the disk may lack it; once the node is down it must not.
    fn kept_when_down(check: &Check, view: &View<'_, Clerk>) -> Result<(), String> {
        if view.nodes().any(|(id, ..)| id == N1) { Ok(()) } else { kept(check, view) }
    }
    let bounds = Bounds { crashes: 1, ..Bounds::default() };
    let mut clerks = model(2, vec![write(7)], bounds);
    check_holds(&clerks, Check::always(kept));
    clerks.config.eager = true;
    let steps = [
        "client asks n1: Write(7) (r0); r0 is answered [7]",
        "n1 crashes; of 1 records not synced, 0 survive",
    ];
    check_breaks(&clerks, Check::always(kept_when_down), &steps);
}

#[test]
fn of_what_was_not_synced_any_first_part_survives() {
    /// What the disk of a node that crashed may not hold.
    fn never(check: &Check, view: &View<'_, Clerk>, disk: &[u8]) -> Result<(), String> {
        let (_, held) = view.disks().next().expect("n1");
        let asked = |step: &Step| matches!(step, Step::Asked { .. });
        let both_before = check.steps.split(|step| *step == Step::Crashed(N1)).next();
        let both_before =
            both_before.is_some_and(|it| it.iter().filter(|it| asked(it)).count() == 2);
        let crashed = check.steps.last() == Some(&Step::Crashed(N1));
        if crashed && both_before && held == disk { Err(format!("{held:?}")) } else { Ok(()) }
    }
    let script = || vec![write(1), write(2).like_last()];
    let bounds = Bounds { crashes: 1, ..Bounds::default() };
    let mut clerks = model(2, script(), bounds);
    clerks.config.silent = true;
    for (look, survive) in [
        (Check::always(|check, view| never(check, view, &[])), 0),
        (Check::always(|check, view| never(check, view, &[1])), 1),
        (Check::always(|check, view| never(check, view, &[1, 2])), 2),
    ] {
        let crash = format!(
            "n1 crashes; of 2 records not synced, {survive} survive; r0 is never answered; r1 is never answered"
        );
        let steps =
            ["client asks n1: Write(1) (r0)", "client asks n1: Write(2) (r1)", crash.as_str()];
        check_breaks(&clerks, look, &steps);
    }
    // The second without the first never does.
    check_holds(&clerks, Check::always(|check, view| never(check, view, &[2])));
}

#[test]
fn links_keep_their_order_only_if_they_are_told_to() {
    fn in_order(_: &Check, view: &View<'_, Clerk>) -> Result<(), String> {
        let node = view.nodes().find(|(id, ..)| *id == N2).expect("n2");
        if node.1.heard.is_sorted() { Ok(()) } else { Err(format!("{:?}", node.1.heard)) }
    }
    let script = vec![write(1), write(2).after(0)];
    let bounds = Bounds { disk: Disk::Instant, ..Bounds::default() };
    let ordered = Bounds { links: Links::Ordered, ..bounds };
    check_holds(&model(2, script.clone(), ordered), Check::always(in_order));
    let steps = [
        "client asks n1: Write(1) (r0); r0 is answered [1]",
        "client asks n1: Write(2) (r1); r1 is answered [2]",
        "n2 ← n1: 2",
        "n2 ← n1: 1",
    ];
    check_breaks(&model(2, script, bounds), Check::always(in_order), &steps);
}

#[test]
fn messages_are_doubled_and_lost_as_often_as_the_bounds_say() {
    fn once(_: &Check, view: &View<'_, Clerk>) -> Result<(), String> {
        let heard = view.nodes().map(|(_, node, _)| node.heard.len()).max();
        if heard <= Some(1) { Ok(()) } else { Err("twice".into()) }
    }
    fn thrice(_: &Check, view: &View<'_, Clerk>) -> Result<(), String> {
        let heard = view.nodes().map(|(_, node, _)| node.heard.len()).max();
        if heard <= Some(2) { Ok(()) } else { Err("thrice".into()) }
    }
    fn arrived(_: &Check, view: &View<'_, Clerk>) -> Result<(), String> {
        let node = view.nodes().find(|(id, ..)| *id == N2).expect("n2");
        if node.1.heard.is_empty() { Err("n2 has not heard".into()) } else { Ok(()) }
    }
    let bounds = Bounds { disk: Disk::Instant, ..Bounds::default() };
    let script = || vec![write(7)];
    check_holds(&model(2, script(), bounds), Check::always(once));
    check_holds(&model(2, script(), bounds), Check::at_the_end(arrived));
    let doubled = Bounds { duplicates: 1, ..bounds };
    let steps = [
        "client asks n1: Write(7) (r0); r0 is answered [7]",
        "n2 ← n1: 7 (and a copy is under way)",
        "n2 ← n1: 7",
    ];
    check_breaks(&model(2, script(), doubled), Check::always(once), &steps);
    check_holds(&model(2, script(), doubled), Check::always(thrice));
    let lossy = Bounds { losses: 1, ..bounds };
    let steps = ["client asks n1: Write(7) (r0); r0 is answered [7]", "lost: n2 ← n1: 7"];
    check_breaks(&model(2, script(), lossy), Check::at_the_end(arrived), &steps);
    // What finds no room is lost too.
    let full = Bounds { flight: 0, ..bounds };
    check_breaks(&model(2, script(), full), Check::at_the_end(arrived), &steps[..1]);
}

#[test]
fn clocks_that_run_alike_let_no_timer_wait() {
    /// n1 beats every ten milliseconds, n2 every twenty.
    fn in_step(_: &Check, view: &View<'_, Clerk>) -> Result<(), String> {
        let beats: Vec<u8> = view.nodes().map(|(_, node, _)| node.beats).collect();
        let ahead = i32::from(beats[0]) - 2 * i32::from(beats[1]);
        if (-1..=2).contains(&ahead) { Ok(()) } else { Err(format!("{beats:?}")) }
    }
    let alike = Clocks::Alike { ticks: 6, delay_max: u8::MAX, faults_before: 0 };
    let mut clerks = model(2, Vec::new(), Bounds { clocks: alike, ..Bounds::default() });
    clerks.config.beats = true;
    check_holds(&clerks, Check::always(in_step));
    let free = Clocks::Free { firings: 6, firings_each: 4 };
    clerks.bounds.clocks = free;
    let steps = ["n2 times out; n2: 1"];
    check_breaks(&clerks, Check::always(in_step), &steps);
}

#[test]
fn time_waits_for_messages_that_may_not_be_late() {
    fn prompt(_: &Check, view: &View<'_, Clerk>) -> Result<(), String> {
        if view.flying() > 0 && view.nodes().any(|(_, node, _)| node.beats > 0) {
            return Err("it beats, and a message is under way".into());
        }
        Ok(())
    }
    let clocks = |delay_max| Clocks::Alike { ticks: 2, delay_max, faults_before: 0 };
    let bounds =
        |delay_max| Bounds { clocks: clocks(delay_max), disk: Disk::Instant, ..Bounds::default() };
    let opening = vec![Play::Ask(0, N1)];
    for (delay_max, holds) in [(0, true), (1, false), (u8::MAX, false)] {
        let mut clerks = model(2, vec![write(7)], bounds(delay_max));
        clerks.config.beats = true;
        clerks.opening = opening.clone();
        let report = explore(&clerks, Check::always(prompt));
        assert_eq!(report.counterexample().is_none(), holds, "delay_max {delay_max}");
    }
}

#[test]
fn a_fingerprint_that_leaves_out_what_matters_is_found_out() {
    // n2 may have heard 1 or 2 first; only its answer shows which.
    let script = vec![write(1), write(2).after(0), Ask::of(N2, Request::Heard).after(1)];
    let bounds = Bounds { disk: Disk::Instant, ..Bounds::default() };
    let mut clerks = model(2, script, bounds);
    let audit = Audit { one_in: 1, pairs: 10_000, steps: 4 };
    let limits = Limits { audit: Some(audit), ..Limits::default() };
    let report = clerks.explore(Check::nothing(), &limits).unwrap();
    assert_eq!(report.verdict, Verdict::Exhausted);
    assert!(report.audited > 0);
    clerks.config.forgetful = true;
    let report = clerks.explore(Check::nothing(), &limits).unwrap();
    assert!(matches!(report.verdict, Verdict::Unsound(_)), "{:?}", report.verdict);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let script: Vec<_> = (1..=3).map(|number| Ask::anyone(Request::Write(number))).collect();
    let bounds = Bounds { crashes: 1, disk: Disk::Instant, ..Bounds::default() };
    fn few(check: &Check, _: &View<'_, Clerk>) -> Result<(), String> {
        if check.answers.len() < 3 { Ok(()) } else { Err("all are answered".into()) }
    }
    let clerks = model(3, script, bounds);
    let [one, four] = [1, 4].map(|workers| {
        let limits = Limits { workers, ..Limits::default() };
        let reports = [Check::nothing(), Check::always(few)].map(|check| {
            let report = clerks.explore(check, &limits).unwrap();
            Report { elapsed: Duration::ZERO, ..report }
        });
        assert!(reports[0].distinct > 2_000, "{}", reports[0].distinct);
        reports
    });
    for (one, four) in one.iter().zip(&four) {
        assert_eq!(one.verdict, four.verdict);
        assert_eq!(
            (one.distinct, one.generated, one.depth),
            (four.distinct, four.generated, four.depth)
        );
    }
}

#[test]
fn a_limit_stops_the_search_and_says_so() {
    let script: Vec<_> = (1..=4).map(write).collect();
    let clerks = model(3, script, Bounds::default());
    let limits = Limits { states: 100, ..Limits::default() };
    let report = clerks.explore(Check::nothing(), &limits).unwrap();
    assert_eq!(report.verdict, Verdict::Stopped);
    let limits = Limits { depth: 3, ..Limits::default() };
    let report = clerks.explore(Check::nothing(), &limits).unwrap();
    assert_eq!((report.verdict, report.depth), (Verdict::Stopped, 3));
}

#[test]
fn a_model_that_names_what_is_not_there_is_refused() {
    let stranger = NodeId::new(9);
    let refused = |model: Model<Clerk>| {
        model.explore(Check::nothing(), &Limits::default()).unwrap_err().field
    };
    let bounds = Bounds::default();
    assert_eq!(refused(model(2, vec![Ask::of(stranger, Request::Heard)], bounds)), "script");
    assert_eq!(refused(model(2, vec![write(1).after(0)], bounds)), "script");
    assert_eq!(refused(model(2, (0..33).map(write).collect(), bounds)), "script");
    for play in [Play::Ask(0, N1), Play::Fire(stranger)] {
        let opening = vec![play];
        assert_eq!(refused(Model { opening, ..model(2, Vec::new(), bounds) }), "opening");
    }
}
