//! Well-formed requests, made from the grammar of RFC 9110, RFC 9112 and RFC 3986, and what each has to be understood as.

use super::reference::Message;

/// Numbers that follow from a seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).expect("a small number");
        usize::try_from(self.next() % bound).expect("a small number")
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    /// So many at most, and one at least, of the parts.
    fn some(&mut self, parts: &[&str], most: usize) -> String {
        (0..=self.below(most)).map(|_| self.pick(parts)).collect()
    }

    /// A name in any case.
    fn cased(&mut self, name: &str) -> String {
        let cased = |letter: char| if self.one_in(3) { letter.to_ascii_uppercase() } else { letter };
        name.chars().map(cased).collect()
    }
}

const TCHAR: &[&str] =
    &["a", "Z", "0", "!", "#", "$", "%", "&", "'", "*", "+", "-", ".", "^", "_", "`", "|", "~"];
const PCHAR: &[&str] = &[
    "a", "Z", "9", "-", ".", "_", "~", "%2F", "%00", "!", "$", "&", "'", "(", ")", "*", "+", ",", ";", "=",
    ":", "@",
];
const FIELD_CONTENT: &[&str] =
    &["a", "Z", "0", ",", ";", ":", "\"", "(", "\\", "=", "{", "\u{e9}", "a b", "a\tb", "a  b"];
const OWS: &[&str] = &["", " ", " ", " ", "\t", "  ", " \t "];
const HOSTS: &[&str] = &["a", "box.example", "127.0.0.1", "[::1]", "[2001:db8::a]", "A-b_c~d.e", "1"];
const PORTS: &[&str] = &["", "", "", ":80", ":", ":65535", ":0"];
const QUOTED: &[&str] = &["a", " ", ";", "=", ",", "\\\"", "\\\\", "\t", "\u{e9}", "5"];

/// How the content is framed.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    None,
    Length(Vec<u8>),
    /// Each chunk's line and data, the last one's line at the end; and the trailer section, without its empty line.
    Chunks {
        chunks: Vec<(String, Vec<u8>)>,
        last: String,
        trailers: String,
    },
}

/// A request in its parts, so that one of them can be spoilt.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) before: &'static str,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: &'static str,
    /// Field lines without their line ends.
    pub(crate) fields: Vec<String>,
    pub(crate) content: Content,
    /// What it has to be understood as.
    pub(crate) message: Message,
    pub(crate) keeps: bool,
}

impl Parts {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{}{} {} HTTP/{}\r\n", self.before, self.method, self.target, self.version);
        self.fields.iter().for_each(|field| head.extend([field, "\r\n"]));
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        match &self.content {
            Content::None => {}
            Content::Length(content) => bytes.extend_from_slice(content),
            Content::Chunks { chunks, last, trailers } => {
                for (line, data) in chunks {
                    bytes.extend([line.as_bytes(), b"\r\n", data, b"\r\n"].concat());
                }
                bytes.extend(format!("{last}\r\n{trailers}\r\n").into_bytes());
            }
        }
        bytes
    }
}

/// A request that every server has to understand.
pub(crate) fn request(random: &mut Random) -> Parts {
    let method = match random.below(10) {
        0 => random.some(TCHAR, 8) + "X",
        1..=3 => "POST".to_owned(),
        _ => random.pick(&["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]).to_owned(),
    };
    let is_new = !random.one_in(8);
    let has_host = is_new || random.one_in(2);
    let host = format!("{}{}", random.pick(HOSTS), random.pick(PORTS));
    let (target, mut message) = target(random, &method);
    if message.authority.is_none() && has_host {
        message.authority = Some(host.clone());
    }
    let mut fields: Vec<String> = (0..random.below(5)).map(|_| other_field(random)).collect();
    if has_host {
        insert(random, &mut fields, "host", &host);
    }
    let needs_length = ["POST", "PUT", "PATCH"].contains(&&method[..]);
    let content = content(random, needs_length, is_new, &mut fields);
    message.body = match &content {
        Content::None => Vec::new(),
        Content::Length(content) => content.clone(),
        Content::Chunks { chunks, .. } => chunks.iter().flat_map(|(_, data)| data.clone()).collect(),
    };
    let keeps = match random.below(6) {
        0 => {
            let option = random.cased("close");
            insert(random, &mut fields, "connection", &option);
            false
        }
        1 => {
            let option = random.cased("keep-alive");
            insert(random, &mut fields, "connection", &format!("x, {option}"));
            true
        }
        _ => is_new,
    };
    if random.one_in(6) {
        insert(random, &mut fields, "expect", "100-continue");
    }
    let before = if random.one_in(8) { "\r\n" } else { "" };
    Parts {
        before,
        method,
        target,
        version: if is_new { "1.1" } else { "1.0" },
        fields,
        content,
        message,
        keeps,
    }
}

/// RFC 9112 section 3.2: a target, and what it says.
fn target(random: &mut Random, method: &str) -> (String, Message) {
    let mut message = Message {
        method: method.to_owned(),
        authority: None,
        path: String::new(),
        query: None,
        body: Vec::new(),
    };
    if method == "OPTIONS" && random.one_in(3) {
        message.path = "*".to_owned();
        return ("*".to_owned(), message);
    }
    message.path = (0..=random.below(3)).map(|_| format!("/{}", random.some(PCHAR, 6))).collect();
    if random.one_in(3) {
        let parts = [PCHAR, &["/", "?"]].concat();
        message.query = Some(if random.one_in(5) { String::new() } else { random.some(&parts, 10) });
    }
    let query = message.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut target = format!("{}{query}", message.path);
    if random.one_in(4) {
        let authority = format!("{}{}", random.pick(HOSTS), random.pick(PORTS));
        target = format!("{}://{authority}{target}", random.pick(&["http", "HTTP", "https", "hTTps"]));
        message.authority = Some(authority);
    }
    (target, message)
}

/// A field that means nothing here.
fn other_field(random: &mut Random) -> String {
    let value = if random.one_in(8) { String::new() } else { random.some(FIELD_CONTENT, 6) };
    format!("X{}:{}{value}{}", random.some(TCHAR, 6), random.pick(OWS), random.pick(OWS))
}

fn insert(random: &mut Random, fields: &mut Vec<String>, name: &str, value: &str) {
    let field = format!("{}:{}{value}{}", random.cased(name), random.pick(OWS), random.pick(OWS));
    let at = random.below(fields.len() + 1);
    fields.insert(at, field);
}

fn content(random: &mut Random, needs_length: bool, is_new: bool, fields: &mut Vec<String>) -> Content {
    match random.below(3) {
        0 if !needs_length => Content::None,
        1 if is_new => {
            let coding = random.cased("chunked");
            insert(random, fields, "transfer-encoding", &coding);
            let chunks: Vec<_> = (0..random.below(5)).map(|_| chunk(random)).collect();
            let last = "0".repeat(1 + random.below(3)) + &extensions(random);
            let trailers = (0..random.below(3)).map(|_| other_field(random) + "\r\n").collect();
            Content::Chunks { chunks, last, trailers }
        }
        _ => {
            let content = data(random);
            let length = format!("{}{}", "0".repeat(random.below(3)), content.len());
            insert(random, fields, "content-length", &length);
            Content::Length(content)
        }
    }
}

/// Any bytes, among them those that end lines.
fn data(random: &mut Random) -> Vec<u8> {
    let byte = |random: &mut Random| match random.below(4) {
        0 => b"\r\n\0"[random.below(3)],
        _ => u8::try_from(random.below(256)).expect("a byte"),
    };
    (0..random.below(40)).map(|_| byte(random)).collect()
}

fn chunk(random: &mut Random) -> (String, Vec<u8>) {
    let mut data = data(random);
    data.push(b'!');
    let digits = if random.one_in(2) { format!("{:x}", data.len()) } else { format!("{:X}", data.len()) };
    (format!("{}{digits}{}", "0".repeat(random.below(3)), extensions(random)), data)
}

/// RFC 9112 section 7.1.1, without the white space that it calls bad.
fn extensions(random: &mut Random) -> String {
    let one = |random: &mut Random| match random.below(3) {
        0 => format!(";{}", random.some(TCHAR, 5)),
        1 => format!(";{}={}", random.some(TCHAR, 5), random.some(TCHAR, 5)),
        _ => format!(";{}=\"{}\"", random.some(TCHAR, 5), random.some(QUOTED, 5)),
    };
    let count = if random.one_in(2) { 0 } else { random.below(3) };
    (0..count).map(|_| one(random)).collect()
}
