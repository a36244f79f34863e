//! A Chromium without a window, driven by the DevTools protocol over a pipe.
//!
//! <https://chromedevtools.github.io/devtools-protocol/>

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take that a browser is asked for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where Chromium may be, in the order of trial.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The browser with one page open.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    count: u64,
    profile: PathBuf,
    /// What the page complained of: exceptions, and errors on its console.
    pub(crate) complaints: Vec<String>,
    /// What the page asked the network for, itself not counted.
    pub(crate) requests: Vec<String>,
    loaded: bool,
}

/// Light or dark, as the system would prefer it.
#[derive(Clone, Copy)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

impl Browser {
    /// Starts Chromium, if there is one.
    ///
    /// # Panics
    /// When there is none, and `CI_REQUIRE_ENGINES` says that there must be.
    pub(crate) fn start(name: &str) -> Option<Self> {
        let Some(program) = find() else {
            let required = std::env::var_os("CI_REQUIRE_ENGINES").is_some();
            assert!(!required, "Chromium not found, and CI_REQUIRE_ENGINES is set");
            // Not by `println!`, which a test that passes keeps to itself.
            let _ =
                writeln!(std::io::stderr(), "skipped: the page `{name}` in a browser: no Chromium");
            return None;
        };
        let profile = scratch().join(format!("profile-{name}-{}", std::process::id()));
        // The protocol speaks on descriptors 3 and 4, which only a shell can name without `unsafe`.
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--remote-debugging-pipe",
                "--window-size=1440,1000",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the shell starts");
        let commands = child.stdin.take().expect("piped");
        let mut answers = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            while answers.read_until(0, &mut bytes).is_ok_and(|count| count > 0) {
                bytes.pop();
                let message = serde_json::from_slice(&bytes).expect("the protocol speaks JSON");
                bytes.clear();
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            child,
            commands,
            messages,
            session: None,
            count: 0,
            profile,
            complaints: Vec::new(),
            requests: Vec::new(),
            loaded: false,
        };
        browser.attach();
        Some(browser)
    }

    fn attach(&mut self) {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" }));
        let wanted = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.call("Target.attachToTarget", wanted);
        self.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Opens a file, as a system that prefers `scheme` and no motion would, and waits until the page
    /// says that it is ready.
    pub(crate) fn open(&mut self, file: &Path, scheme: Scheme) {
        let value = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!({ "features": [
            { "name": "prefers-color-scheme", "value": value },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.call("Emulation.setEmulatedMedia", features);
        self.loaded = false;
        self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        let give_up = Instant::now() + PATIENCE;
        while !self.loaded {
            assert!(Instant::now() < give_up, "{} did not load", file.display());
            self.hear(give_up);
        }
    }

    /// Waits until the script `condition` is true.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, condition: &str) {
        let give_up = Instant::now() + PATIENCE;
        while self.evaluate(condition) != Value::Bool(true) {
            assert!(
                Instant::now() < give_up,
                "never true: {condition}; complaints: {:?}",
                self.complaints
            );
            // One frame of the page, not a guess at how long it takes.
            self.evaluate("new Promise((done) => requestAnimationFrame(() => done(0)))");
        }
    }

    /// What `script` comes to.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, script: &str) -> Value {
        let wanted = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", wanted);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// The number that `script` comes to.
    #[track_caller]
    pub(crate) fn number(&mut self, script: &str) -> f64 {
        let value = self.evaluate(script);
        let number = value.as_f64().or_else(|| value.as_str()?.parse().ok());
        number.unwrap_or_else(|| panic!("{script} is {value}, not a number"))
    }

    /// The text that `script` comes to.
    #[track_caller]
    pub(crate) fn text(&mut self, script: &str) -> String {
        let value = self.evaluate(script);
        value.as_str().unwrap_or_else(|| panic!("{script} is {value}, not a text")).to_owned()
    }

    /// Presses a key and lets it go, as a keyboard does.
    pub(crate) fn press(&mut self, key: &str, shift: bool) {
        let text = match key {
            "Enter" => "\r",
            one if one.chars().count() == 1 => one,
            _ => "",
        };
        let modifiers = if shift { 8 } else { 0 };
        let down = json!({ "type": "keyDown", "key": key, "text": text, "modifiers": modifiers });
        self.call("Input.dispatchKeyEvent", down);
        let up = json!({ "type": "keyUp", "key": key, "modifiers": modifiers });
        self.call("Input.dispatchKeyEvent", up);
    }

    /// Moves the mouse along `path` with its button down.
    pub(crate) fn drag(&mut self, path: &[(f64, f64)]) {
        let (first, last) = (path[0], path[path.len() - 1]);
        self.mouse("mouseMoved", first, 0);
        self.mouse("mousePressed", first, 1);
        for &place in path {
            self.mouse("mouseMoved", place, 1);
        }
        self.mouse("mouseReleased", last, 0);
    }

    fn mouse(&mut self, kind: &str, (x, y): (f64, f64), buttons: u8) {
        let button = if kind == "mouseMoved" && buttons == 0 { "none" } else { "left" };
        let clicks = u8::from(kind != "mouseMoved");
        self.call(
            "Input.dispatchMouseEvent",
            json!({ "type": kind, "x": x, "y": y, "button": button, "buttons": buttons,
                    "clickCount": clicks }),
        );
    }

    /// Turns the wheel at a place.
    pub(crate) fn wheel(&mut self, (x, y): (f64, f64), delta: f64) {
        let wheel = json!({ "type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": delta });
        self.call("Input.dispatchMouseEvent", wheel);
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.count += 1;
        let id = self.count;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).expect("Chromium listens");
        self.commands.flush().expect("Chromium listens");
        let give_up = Instant::now() + PATIENCE;
        loop {
            let heard = self.hear(give_up);
            if heard["id"] == json!(id) {
                assert!(heard["error"].is_null(), "{method}: {}", heard["error"]);
                return heard["result"].clone();
            }
        }
    }

    /// The next thing that the browser says.
    #[track_caller]
    fn hear(&mut self, give_up: Instant) -> Value {
        let left = give_up.saturating_duration_since(Instant::now());
        let message = self.messages.recv_timeout(left).expect("Chromium answers in time");
        let params = &message["params"];
        match message["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded = true,
            Some("Runtime.exceptionThrown") => {
                self.complaints.push(params["exceptionDetails"].to_string());
            }
            Some("Runtime.consoleAPICalled")
                if ["error", "warning", "assert"].iter().any(|kind| params["type"] == **kind) =>
            {
                self.complaints.push(params["args"].to_string());
            }
            Some("Log.entryAdded") => self.complaints.push(params["entry"].to_string()),
            Some("Network.requestWillBeSent") => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                let is_page = params["type"] == "Document" && url.starts_with("file://");
                if !is_page && !url.starts_with("data:") {
                    self.requests.push(url.to_owned());
                }
            }
            _ => {}
        }
        message
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The shell became Chromium, so this ends it and with it all that it started.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// Where tests may write.
pub(crate) fn scratch() -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&dir).expect("the target directory can be written");
    dir
}

/// Writes a page where the browser can open it.
pub(crate) fn page(name: &str, html: &str) -> PathBuf {
    let file = scratch().join(name);
    std::fs::write(&file, html).expect("the target directory can be written");
    file
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let files = NAMES.iter().flat_map(|name| dirs.iter().map(move |dir| dir.join(name)));
    files.into_iter().find(|file| file.is_file())
}
