//! The readers of recorded histories: what they take, and what they say of the rest.

use harness::linear::{Limits, Verdict};
use harness::recorded::{Format, Judgement, ModelName, RecordedError, judge};
use proptest::prelude::*;

#[track_caller]
fn judged(text: &str, model: ModelName) -> Judgement {
    judge(text.as_bytes(), None, model, Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn holds(text: &str, model: ModelName, format: Format) -> Judgement {
    let judgement = judged(text, model);
    assert_eq!(judgement.verdict, Verdict::Holds, "{judgement}");
    assert_eq!(judgement.format, format);
    judgement
}

#[track_caller]
fn broken(text: &str, model: ModelName) {
    let judgement = judged(text, model);
    assert!(matches!(judgement.verdict, Verdict::Broken(_)), "{judgement}");
}

/// That there is no verdict, in which line it says so, and that it says `told`.
#[track_caller]
fn refused(bytes: &[u8], model: ModelName, line: Option<usize>, told: &str) -> RecordedError {
    match judge(bytes, None, model, Limits::default()) {
        Err(error) => {
            assert!(error.to_string().contains(told), "{error}");
            assert_eq!(error.line(), line, "{error}");
            error
        }
        Ok(judgement) => panic!("{judgement}"),
    }
}

const CAS: ModelName = ModelName::CasRegister;

/// Lines of a log from their last four fields.
fn log(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("INFO  jepsen.util - {line}\n")).collect()
}

#[test]
fn a_log_is_read_with_tabs_or_spaces() {
    let lines = [
        "0\t:invoke\t:read\tnil",
        "1  :invoke  :write  2",
        "0\t:ok\t:read\tnil",
        "1 :ok\t :write \t2",
        "2 :invoke :cas [2 3]",
        "2 :ok :cas [2 3]",
        ":nemesis :info :start nil",
        "0 :invoke :cas [2 4]",
        "0 :fail :cas [2 4]",
        "1 :invoke :read nil",
        "1 :fail :read :timed-out",
        "0 :invoke :read nil",
        "0 :ok :read 3",
    ];
    let judgement = holds(&log(&lines), CAS, Format::JepsenLog);
    assert_eq!((judgement.operations, judgement.unanswered, judgement.left_out), (5, 0, 1));
    holds(&log(&lines).replace('\n', "\r\n\r\n"), CAS, Format::JepsenLog);
    holds(&format!("\u{feff}{}", log(&lines)), CAS, Format::JepsenLog);
}

#[test]
fn a_failed_cas_in_a_log_saw_another_value() {
    let lines =
        ["0 :invoke :write 2", "0 :ok :write 2", "0 :invoke :cas [2 3]", "0 :fail :cas [2 3]"];
    broken(&log(&lines), CAS);
    // In EDN it did not happen.
    let edn = "[{:process 0 :type :invoke :f :cas :value [0 3]}
                {:process 0 :type :fail :f :cas :value [0 3]}]";
    assert_eq!(holds(edn, CAS, Format::Edn).left_out, 1);
}

#[test]
fn an_operation_of_unknown_outcome_stays_open() {
    let write = ["0 :invoke :write 2", "0 :info :write :timed-out"];
    let read = |value| ["1 :invoke :read nil".to_owned(), format!("1 :ok :read {value}")];
    for value in ["nil", "2"] {
        let [call, ret] = read(value);
        let judgement = holds(&log(&[write[0], write[1], &call, &ret]), CAS, Format::JepsenLog);
        assert_eq!(judgement.unanswered, 1);
        // Neither said to be unknown, nor completed: the same.
        holds(&log(&[write[0], &call, &ret]), CAS, Format::JepsenLog);
    }
    let [call, ret] = read("3");
    broken(&log(&[write[0], write[1], &call, &ret]), CAS);
    // Its process may call again.
    let again = ["0 :invoke :read nil", "0 :ok :read 2", "0 :invoke :read nil", "0 :ok :read nil"];
    broken(&log(&[write[0], write[1], again[0], again[1], again[2], again[3]]), CAS);
}

#[test]
fn the_register_of_a_log_begins_with_nil_and_that_of_edn_with_zero() {
    holds(&log(&["0 :invoke :read nil", "0 :ok :read nil"]), CAS, Format::JepsenLog);
    broken(&log(&["0 :invoke :read nil", "0 :ok :read 0"]), CAS);
    let edn = |value| {
        format!(
            "[{{:process 0 :type :invoke :f :read}}
              {{:process 0 :type :ok :f :read :value {value}}}]"
        )
    };
    holds(&edn("0"), CAS, Format::Edn);
    broken(&edn("1"), CAS);
    // There, nil says that nobody knows what was read.
    assert_eq!(holds(&edn("nil"), CAS, Format::Edn).left_out, 1);
}

#[test]
fn a_map_of_strings_is_read() {
    let text = r#"{:process 0, :type :invoke, :f :put, :key "a b", :value "x \"1\" \\ y\n\u00e9"}
{:process 0, :type :ok, :f :put, :key "a b", :value "x \"1\" \\ y\n\u00e9"}
{:process 1, :type :invoke, :f :append, :key "a b", :value "é"}
{:process 1, :type :ok, :f :append, :key "a b", :value "é"}
{:process 1, :type :invoke, :f :get, :key "other", :value nil}
{:process 1, :type :ok, :f :get, :key "other", :value ""}
{:process 1, :type :invoke, :f :get, :key "a b", :value nil}
{:process 1, :type :ok, :f :get, :key "a b", :value "x \"1\" \\ y
éé"}
"#;
    assert_eq!(holds(text, ModelName::Kv, Format::KvMap).operations, 4);
    broken(&text.replace("éé", "é"), ModelName::Kv);
    // Nobody knows whether it was appended: both are possible. It was not: one is.
    let unknown = text.replace("1, :type :ok, :f :append", "1, :type :info, :f :append");
    assert_eq!(holds(&unknown, ModelName::Kv, Format::KvMap).unanswered, 1);
    holds(&unknown.replace("éé", "é"), ModelName::Kv, Format::KvMap);
    let refused = text.replace("1, :type :ok, :f :append", "1, :type :fail, :f :append");
    broken(&refused, ModelName::Kv);
    holds(&refused.replace("éé", "é"), ModelName::Kv, Format::KvMap);
}

/// Events of a lock: process, type, function, value.
fn lock(events: &[(u64, &str, &str, &str)]) -> String {
    let map = |(process, kind, function, value): &(u64, &str, &str, &str)| {
        format!("{{:process {process} :type :{kind} :f :{function} :value {value}}}\n")
    };
    events.iter().map(map).collect()
}

#[test]
fn a_lock_has_one_holder() {
    let text = lock(&[
        (0, "invoke", "acquire", "nil"),
        (0, "ok", "acquire", "nil"),
        (1, "invoke", "acquire", "nil"),
        (1, "fail", "acquire", ":busy"),
        (2, "invoke", "release", "nil"),
        (2, "fail", "release", ":not-held"),
        (1, "invoke", "acquire", "nil"),
        (0, "invoke", "release", "nil"),
        (1, "ok", "acquire", "nil"),
        (0, "ok", "release", "nil"),
    ]);
    let judgement = holds(&text, ModelName::Mutex, Format::Edn);
    assert_eq!((judgement.operations, judgement.left_out), (3, 2));
    broken(&text.replace("0 :type :ok :f :release", "0 :type :fail :f :release"), ModelName::Mutex);
    // It may have been given back.
    holds(
        &text.replace("0 :type :ok :f :release", "0 :type :info :f :release"),
        ModelName::Mutex,
        Format::Edn,
    );
    broken(&text.replace(":fail :f :acquire :value :busy", ":ok :f :acquire"), ModelName::Mutex);
    broken(
        &lock(&[(0, "invoke", "release", "nil"), (0, "ok", "release", "nil")]),
        ModelName::Mutex,
    );
    let log = log(&["0 :invoke :acquire nil", "0 :ok :acquire nil"]);
    holds(&log, ModelName::Mutex, Format::JepsenLog);
}

#[test]
fn the_tokens_of_a_lock_grow_and_each_key_has_its_own_lock() {
    let text = |tokens: [&str; 2], keys: [&str; 2]| {
        let one = |process: u64, token: &str, key: &str, last: &str| {
            format!(
                "{{:process {process} :type :invoke :f :acquire :key \"{key}\"}}
                 {{:process {process} :type :ok :f :acquire :key \"{key}\" :value {token}}}
                 {{:process {process} :type :invoke :f :release :key \"{key}\"}}
                 {{:process {process} :type :{last} :f :release :key \"{key}\"}}\n"
            )
        };
        one(0, tokens[0], keys[0], "ok") + &one(1, tokens[1], keys[1], "info")
    };
    holds(&text(["3", "4"], ["a", "a"]), ModelName::Mutex, Format::KvMap);
    holds(&text(["3", "nil"], ["a", "a"]), ModelName::Mutex, Format::KvMap);
    broken(&text(["4", "4"], ["a", "a"]), ModelName::Mutex);
    broken(&text(["4", "3"], ["a", "a"]), ModelName::Mutex);
    holds(&text(["4", "3"], ["a", "b"]), ModelName::Mutex, Format::KvMap);
    let worded = text(["x", "3"], ["a", "a"]);
    refused(worded.as_bytes(), ModelName::Mutex, Some(2), "found `x`, expected a fencing token");
}

#[test]
fn edn_is_read_as_others_write_it() {
    let text = "; a comment with ] and \"
        #jepsen.history/history (
        {:index 0 :time 12.5e3, :process :nemesis, :type :info, :f :start, :value #{1 2}}
        #jepsen.history.Op{:process 0N, :type :invoke, :f :write, :value 7, :error [\\] \\newline true]}
        #_ {:process 9 :type :nonsense}
        {:process +0 :type :ok :f :write :value 7 :at #inst \"2015-01-01\" :more {:a {:b -1/2}}}
        {:process 1 :type :invoke :f :read :value 3} {:process 1 :type :ok :f :read :value 7}
        )";
    assert_eq!(holds(text, CAS, Format::Edn).operations, 2);
    // One map after the other will do as well, and a completion need not repeat an argument.
    let bare = text
        .replace("#jepsen.history/history (\n", "")
        .replace("\n        )", "")
        .replace(":write :value 7 :at", ":write :at");
    assert_eq!(holds(&bare, CAS, Format::Edn).operations, 2);
    assert_eq!(holds(&bare, ModelName::Register, Format::Edn).operations, 2);
}

#[test]
fn a_file_without_an_event_has_no_verdict() {
    for nothing in
        ["", " \n\t\n", "; only a comment\n", "[]", "()", "[{:process :nemesis :type :info}]"]
    {
        refused(nothing.as_bytes(), CAS, None, "nothing to judge");
    }
    let nemesis = log(&[":nemesis :info :start nil"]);
    refused(nemesis.as_bytes(), CAS, None, "nothing to judge");
    let none = judge(b"", Some(Format::JepsenLog), CAS, Limits::default());
    assert_eq!(none.unwrap_err(), RecordedError::Empty);
}

#[test]
fn what_is_no_history_is_refused_with_its_line() {
    refused(b"INFO\n\xff\n", CAS, Some(2), "not UTF-8");
    refused(b"\n# Readme\n", CAS, Some(2), "found `Readme`, expected a map");
    refused(b"\nReadme\n", CAS, Some(2), "expected `INFO` (jepsen-log), `{` (kv-map) or `[` (edn)");
    refused(
        b"INFO jepsen.core - hello\n",
        CAS,
        Some(1),
        "expected `INFO jepsen.util - PROC TYPE F VALUE`",
    );
    refused(b"INFO jepsen.util\n", CAS, Some(1), "PROC TYPE F VALUE");
    refused(b"[1 2]", CAS, Some(1), "found 1, expected a map");
    refused(b"[{:type :invoke}]", CAS, Some(1), "a map without :process");
    refused(b"[{:process 1 :type :maybe :f :read}]", CAS, Some(1), "found :maybe, expected a type");
    refused(
        b"[{:process 1 :type :invoke :f 3}]",
        CAS,
        Some(1),
        "found 3, expected a keyword as :f",
    );
    refused(b"[{:process 1 :process 2}]", CAS, Some(1), ":process twice");
}

#[test]
fn what_was_cut_off_is_refused() {
    let event = "{:process 1 :type :invoke :f :read}";
    refused(format!("[{event}\n").as_bytes(), CAS, Some(2), "found the end, expected `]`");
    refused(b"[{:process 1", CAS, Some(1), "found the end, expected `}`");
    refused(b"[{:process", CAS, Some(1), "found the end, expected `}`");
    refused(b"[{:process }]", CAS, Some(1), "found `}`, expected the value of :process");
    refused(b"[\"abc", CAS, Some(1), "found the end, expected `\"`");
    refused(b"[\"a\\u12", CAS, Some(1), "found another escape");
    let call = log(&["1 :invoke :cas [1"]);
    refused(call.trim_end().as_bytes(), CAS, Some(1), "found the end, expected `]`");
    refused(
        log(&["0 :invoke :read nil", "1 :invoke :read"]).as_bytes(),
        CAS,
        Some(2),
        "the end of the line",
    );
    let unfinished = "{:process 7 :type :invoke :f :get :key \"a\" :value nil}\n";
    refused(unfinished.as_bytes(), ModelName::Kv, Some(1), "no answer to this call of process 7");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let twice = log(&["0 :invoke :read nil", "1 :invoke :read nil", "0 :invoke :read nil"]);
    let error =
        refused(twice.as_bytes(), CAS, Some(3), "expected the completion of its call in line 1");
    assert_eq!(error, RecordedError::DoubleInvocation { line: 3, process: 0, open: 1 });
    refused(log(&["0 :ok :read nil"]).as_bytes(), CAS, Some(1), "expected a call of it before");
    let other = log(&["0 :invoke :read nil", "0 :ok :write 1"]);
    refused(other.as_bytes(), CAS, Some(2), "found the completion of :write by process 0");
    let other = log(&["0 :invoke :write 1", "0 :ok :write 2"]);
    refused(other.as_bytes(), CAS, Some(2), "found 2, expected 1, as invoked in line 1");
    let other =
        "{:process 0 :type :invoke :f :get :key \"a\"} {:process 0 :type :ok :f :get :key \"b\"}";
    refused(other.as_bytes(), ModelName::Kv, Some(1), "of :get of key \"b\"");
    let many = log(&["99999999999999999999 :invoke :read nil"]);
    refused(many.as_bytes(), CAS, Some(1), "at most 64 bits");
    refused(log(&["-1 :invoke :read nil"]).as_bytes(), CAS, Some(1), "a number from zero on");
    refused(
        log(&["0 :invoke :write nil"]).as_bytes(),
        CAS,
        Some(1),
        "found nil, expected a number",
    );
    refused(log(&["0 :invoke :cas [1 2 3]"]).as_bytes(), CAS, Some(1), "expected [FROM TO]");
    refused(log(&["0 :invoke :read nil 5"]).as_bytes(), CAS, Some(1), "found 5");
    refused("[".repeat(100_000).as_bytes(), CAS, Some(1), "at most 64");
    refused("#_".repeat(100_000).as_bytes(), CAS, Some(1), "at most 64");
    refused("#a ".repeat(100_000).as_bytes(), CAS, Some(1), "at most 64");
}

#[test]
fn a_history_of_another_model_is_refused() {
    let cas = log(&["0 :invoke :cas [1 2]"]);
    let expected = "found :cas, expected :read or :write, which model register knows";
    refused(cas.as_bytes(), ModelName::Register, Some(1), expected);
    refused(cas.as_bytes(), ModelName::Kv, Some(1), "expected :get, :put or :append");
    refused(cas.as_bytes(), ModelName::Mutex, Some(1), "expected :acquire or :release");
    let kv = "{:process 7 :type :invoke :f :get :key \"a\"}\n{:process 7 :type :ok :f :get :key \"a\" :value \"\"}";
    refused(kv.as_bytes(), CAS, Some(1), "found :get, expected :read, :write or :cas");
    let without_key = "[{:process 7 :type :invoke :f :get}]";
    refused(without_key.as_bytes(), ModelName::Kv, Some(1), "found no :key, expected a string");
}

#[test]
fn names_lead_back_to_what_they_name() {
    assert!(Format::ALL.iter().all(|&format| Format::named(format.name()) == Some(format)));
    assert!(ModelName::ALL.iter().all(|&model| ModelName::named(model.name()) == Some(model)));
    assert_eq!((Format::named("csv"), ModelName::named("queue")), (None, None));
}

#[test]
fn a_judgement_tells_all_there_is() {
    let lines = ["0 :invoke :write 2", "0 :ok :write 2", "1 :invoke :read nil", "1 :ok :read 3"];
    let told = judged(&log(&lines), CAS).to_string();
    for part in [
        "not linearizable: nothing explains p1 read → 3 [3–4]",
        "the longest order: p0 write 2 [1–2]",
        "the state then: 2",
        "cas-register, jepsen-log: judged 2 operations (0 never answered), left out 0",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

/// Pieces of all formats, so that nonsense gets past the first check.
fn nonsense() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "\"",
        "\\",
        "\\u12",
        ";",
        "#",
        "#_",
        "#{",
        "\n",
        " ",
        "\t",
        ",",
        ":process",
        ":type",
        ":f",
        ":value",
        ":key",
        ":invoke",
        ":ok",
        ":fail",
        ":info",
        ":nemesis",
        ":read",
        ":write",
        ":cas",
        ":get",
        ":put",
        ":append",
        ":acquire",
        ":release",
        ":",
        "nil",
        "0",
        "1",
        "-7",
        "1N",
        "N",
        "+",
        "99999999999999999999",
        "\"a\"",
        "[1 2]",
        "é",
        "INFO jepsen.util - ",
        "INFO",
        "0 :invoke :read nil\n",
        "{:process 0 :type :invoke :f :write :value 1}",
        "{:process 0 :type :ok :f :write :value 1}",
        "\u{feff}",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn judge_in_every_way(bytes: &[u8]) {
    let limits = Limits { steps: 10_000, ..Limits::default() };
    for model in ModelName::ALL {
        for format in [None, Some(Format::JepsenLog), Some(Format::KvMap), Some(Format::Edn)] {
            match judge(bytes, format, model, limits) {
                Ok(judgement) => assert!(!judgement.to_string().is_empty()),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        judge_in_every_way(&bytes);
    }

    #[test]
    fn no_nonsense_makes_a_reader_panic(text in nonsense()) {
        judge_in_every_way(text.as_bytes());
    }
}
