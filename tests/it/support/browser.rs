//! A real browser of the test's own: Chromium without a window, spoken to over its debugging protocol, and the
//! accessibility checker axe-core inside it.
//!
//! A [`Browser`] has its own profile and port; a [`Page`] is one of its tabs. Everything waits for the browser's own
//! answer, and a browser that says nothing for half a minute is a failed test.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a person who depends on an accessible page may expect: WCAG 2.2, levels A and AA.
const WCAG_22_AA: [&str; 5] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/// A running Chromium; it ends when it is dropped.
pub struct Browser {
    process: Child,
    port: u16,
    /// The address of the browser itself, for closing it.
    path: String,
    _profile: TempDir,
}

/// One tab. Dropping it closes it.
pub struct Page {
    socket: WebSocket<TcpStream>,
    port: u16,
    target: String,
    asked: u64,
    /// What the browser told meanwhile.
    events: VecDeque<Value>,
    /// Every address that was asked for since the page was opened.
    requests: Vec<String>,
}

/// A rule of accessibility that a page breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule, by the name that axe-core gives it: `color-contrast`.
    pub rule: String,
    /// What it asks.
    pub help: String,
    /// Where, as CSS selectors, with what is wrong there.
    pub places: Vec<String>,
}

impl Browser {
    /// Starts one with an empty profile.
    pub fn start() -> Browser {
        let profile = tempfile::Builder::new().prefix("chudong-browser-").tempdir().unwrap();
        let mut process = Command::new(program())
            .args(["--headless=new", "--remote-debugging-port=0", "--no-sandbox", "--disable-gpu"])
            // Nothing of its own: no first run, no updates, no calls home, no small shared memory of a container.
            .args(["--no-first-run", "--no-default-browser-check", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-extensions"])
            .args(["--force-color-profile=srgb", "--hide-scrollbars", "--lang=vi"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (port, path) = address(profile.path(), &mut process);
        Browser { process, port, path, _profile: profile }
    }

    /// A new tab that shows this address, `file://…` or `http://…`, once it has loaded.
    pub fn open(&self, address: &str) -> Page {
        let mut page = self.empty();
        page.go(address);
        page
    }

    /// A new tab with nothing in it, for what must be set before a page is shown.
    pub fn empty(&self) -> Page {
        let told: Value = serde_json::from_str(&http(self.port, "PUT", "/json/new?about:blank")).unwrap();
        let target = told["id"].as_str().unwrap().to_owned();
        let socket = connect(self.port, &format!("/devtools/page/{target}"));
        let mut page =
            Page { socket, port: self.port, target, asked: 0, events: VecDeque::new(), requests: Vec::new() };
        page.call("Page.enable", json!({}));
        page.call("Page.setLifecycleEventsEnabled", json!({ "enabled": true }));
        page.call("Network.enable", json!({}));
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked to close, it ends its children too; whatever happens, it is not left behind.
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let asked = format!("ws://127.0.0.1:{}{}", self.port, self.path);
            if let Ok((mut socket, _)) = tungstenite::client(asked.as_str(), stream) {
                drop(socket.send(Message::text(json!({ "id": 1, "method": "Browser.close" }).to_string())));
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_secs(5) && matches!(self.process.try_wait(), Ok(None)) {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Page {
    /// Shows another address, and waits until it has loaded.
    #[track_caller]
    pub fn go(&mut self, address: &str) {
        let told = self.call("Page.navigate", json!({ "url": address }));
        assert!(told.get("errorText").is_none(), "{address}: {told}");
        // A place on the same page is not loaded anew.
        let Some(loader) = told["loaderId"].as_str().map(str::to_owned) else { return };
        self.wait_for(|event| {
            event["method"] == "Page.lifecycleEvent"
                && event["params"]["name"] == "load"
                && event["params"]["loaderId"] == loader.as_str()
        });
    }

    /// Shows a document that has no address of its own, such as the HTML part of a letter.
    pub fn show(&mut self, html: &str) {
        let frames = self.call("Page.getFrameTree", json!({}));
        let frame = frames["frameTree"]["frame"]["id"].clone();
        self.call("Page.setDocumentContent", json!({ "frameId": frame, "html": html }));
    }

    /// What a script comes to, as JSON; a promise is awaited. A script that throws fails the test with its words.
    #[track_caller]
    pub fn evaluate(&mut self, script: &str) -> Value {
        let asked = json!({ "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let told = match self.ask("Runtime.evaluate", asked) {
            Ok(told) => told,
            // The page went away under the script, as a form that was sent makes it do: there is no value, and no fault.
            Err(error) if error["message"] == "Inspected target navigated or closed" => return Value::Null,
            Err(error) => panic!("Runtime.evaluate: {error}"),
        };
        let thrown = &told["exceptionDetails"];
        assert!(thrown.is_null(), "{}: {}", thrown["text"], thrown["exception"]["description"]);
        told["result"]["value"].clone()
    }

    /// Evaluates a script until it is true.
    #[track_caller]
    pub fn wait_until(&mut self, script: &str) {
        let begun = Instant::now();
        while self.evaluate(script) != Value::Bool(true) {
            assert!(begun.elapsed() < PATIENCE, "this did not become true: {script}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses and releases a key: `Tab`, `Enter`, `Escape`, an arrow as `ArrowDown`, or one letter. With `Shift+` in
    /// front of it, shift is held.
    pub fn press(&mut self, key: &str) {
        let (shift, key) = key.strip_prefix("Shift+").map_or((0, key), |key| (8, key));
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, None),
            "Enter" => ("Enter", 13, Some("\r")),
            "Escape" => ("Escape", 27, None),
            " " | "Space" => ("Space", 32, Some(" ")),
            "PageUp" => ("PageUp", 33, None),
            "PageDown" => ("PageDown", 34, None),
            "End" => ("End", 35, None),
            "Home" => ("Home", 36, None),
            "ArrowLeft" => ("ArrowLeft", 37, None),
            "ArrowUp" => ("ArrowUp", 38, None),
            "ArrowRight" => ("ArrowRight", 39, None),
            "ArrowDown" => ("ArrowDown", 40, None),
            letter => ("", u32::from(letter.to_uppercase().chars().next().unwrap()), Some(letter)),
        };
        let name = if key == "Space" { " " } else { key };
        let mut event = json!({
            "type": if text.is_some() { "keyDown" } else { "rawKeyDown" },
            "key": name, "code": code, "windowsVirtualKeyCode": number, "modifiers": shift,
        });
        if let Some(text) = text {
            event["text"] = json!(text);
        }
        self.call("Input.dispatchKeyEvent", event.clone());
        event["type"] = json!("keyUp");
        self.call("Input.dispatchKeyEvent", event);
    }

    /// The size of what is seen, in CSS pixels.
    pub fn viewport(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// The medium (`screen` or `print`, or empty for the usual one) and what the person prefers, for example
    /// `("prefers-color-scheme", "dark")` or `("forced-colors", "active")`.
    pub fn media(&mut self, medium: &str, features: &[(&str, &str)]) {
        let features: Vec<Value> =
            features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.call("Emulation.setEmulatedMedia", json!({ "media": medium, "features": features }));
    }

    /// Whether scripts of the page run. What a test evaluates runs all the same.
    pub fn scripts(&mut self, run: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !run }));
    }

    /// What is seen, as PNG.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let told = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        mail_parser::decoders::base64::base64_decode(told["data"].as_str().unwrap().as_bytes()).unwrap()
    }

    /// The page as it is printed, as PDF.
    pub fn pdf(&mut self) -> Vec<u8> {
        let told = self.call("Page.printToPDF", json!({ "printBackground": true, "preferCSSPageSize": true }));
        mail_parser::decoders::base64::base64_decode(told["data"].as_str().unwrap().as_bytes()).unwrap()
    }

    /// Every address that the page has asked for since it was opened, its own among them.
    pub fn requests(&mut self) -> &[String] {
        // Whatever was told before the answer to a question has been read with it.
        self.evaluate("0");
        &self.requests
    }

    /// Which rules of WCAG 2.2 AA the page breaks, as axe-core finds them.
    #[track_caller]
    pub fn axe(&mut self) -> Vec<Violation> {
        if self.evaluate("typeof axe") == "undefined" {
            let source = std::fs::read_to_string(axe_file()).unwrap();
            self.evaluate(&format!("{source}; 0"));
        }
        let options = json!({ "runOnly": { "type": "tag", "values": WCAG_22_AA }, "resultTypes": ["violations"] });
        let found = self.evaluate(&format!("axe.run(document, {options}).then(found => found.violations)"));
        found.as_array().expect("axe-core gave no list").iter().map(violation).collect()
    }

    /// Asks the browser for something and gives its answer.
    #[track_caller]
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.ask(method, parameters).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// What the browser answers, or the error that it names.
    fn ask(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.asked += 1;
        let asked = json!({ "id": self.asked, "method": method, "params": parameters });
        self.socket.send(Message::text(asked.to_string())).unwrap();
        loop {
            let mut told = self.read();
            if told["id"] == self.asked {
                return match told.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(told["result"].take()),
                };
            }
            self.events.push_back(told);
        }
    }

    /// Waits for an event that is as wanted. Those before it are forgotten.
    #[track_caller]
    fn wait_for(&mut self, is_wanted: impl Fn(&Value) -> bool) {
        loop {
            let event = self.events.pop_front();
            let event = event.unwrap_or_else(|| self.read());
            if is_wanted(&event) {
                return;
            }
        }
    }

    #[track_caller]
    fn read(&mut self) -> Value {
        loop {
            let message = self.socket.read().expect("the browser says nothing");
            let Message::Text(text) = message else { continue };
            let told: Value = serde_json::from_str(&text).unwrap();
            if told["method"] == "Network.requestWillBeSent" {
                self.requests.extend(told["params"]["request"]["url"].as_str().map(str::to_owned));
            }
            return told;
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // The browser may be gone already.
        if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            let path = format!("/json/close/{}", self.target);
            drop(std::panic::catch_unwind(|| http(self.port, "GET", &path)));
        }
    }
}

fn violation(found: &Value) -> Violation {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let places = found["nodes"].as_array().into_iter().flatten();
    let place = |node: &Value| format!("{}: {}", node["target"], text(&node["failureSummary"]).replace('\n', " "));
    Violation { rule: text(&found["id"]), help: text(&found["help"]), places: places.map(place).collect() }
}

/// The port and the path that the browser writes into its profile once it listens.
fn address(profile: &Path, process: &mut Child) -> (u16, String) {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = text.trim_end().split_once('\n') {
            return (port.parse().unwrap(), path.to_owned());
        }
        let ended = process.try_wait().unwrap();
        assert!(ended.is_none(), "Chromium ended as soon as it was started: {ended:?}");
        assert!(begun.elapsed() < PATIENCE, "Chromium did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn connect(port: u16, path: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream).unwrap().0
}

/// The body of an answer of the browser's own pages.
fn http(port: u16, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // It may keep the connection open: its length tells the end.
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part).unwrap();
        answer.extend_from_slice(part.get(..read).unwrap());
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length: usize = lengths.next().map_or(0, |(_, length)| length.trim().parse().unwrap());
            if body.len() >= length || read == 0 {
                assert!(head.starts_with("HTTP/1.1 200"), "{text}");
                return body.to_owned();
            }
        }
        assert!(read > 0, "{text}");
    }
}

/// Where the distribution's package puts it.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut files = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.find(|file| file.is_file()).expect("Chromium is missing: run ./test.sh --install")
}

/// Where `test.sh` installs axe-core.
fn axe_file() -> PathBuf {
    let file = crate::root().join("target/test-tools/axe.min.js");
    assert!(file.is_file(), "axe-core is missing: run ./test.sh --install");
    file
}
