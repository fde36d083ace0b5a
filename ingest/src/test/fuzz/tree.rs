//! Protobuf as a tree of fields without a schema, and what can be done to it.

use prost::encoding::{encode_varint, encoded_len_varint};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};

/// One field, or bytes that are none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Varint(u32, u64),
    Fixed64(u32, u64),
    Fixed32(u32, u32),
    Bytes(u32, Vec<u8>),
    Message(u32, Vec<Node>),
    Raw(Vec<u8>),
}

const EDGES: [u64; 14] = [
    0,
    1,
    5,
    127,
    128,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
    1_700_000_000_000_000_000,
];

/// The tree of a message; `None` where it is none.
pub(crate) fn parse(mut bytes: &[u8], depth: u32) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    while !bytes.is_empty() {
        let tag = u32::try_from(varint(&mut bytes)?).ok()?;
        let number = tag >> 3;
        // What looks like a message in a text has mostly higher numbers.
        if number == 0 || number > 30 {
            return None;
        }
        nodes.push(match tag & 7 {
            0 => Node::Varint(number, varint(&mut bytes)?),
            1 => Node::Fixed64(number, u64::from_le_bytes(*take(&mut bytes, 8)?.first_chunk()?)),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let content = take(&mut bytes, length)?;
                match parse(content, depth + 1) {
                    Some(inner) if !inner.is_empty() && depth < 40 => Node::Message(number, inner),
                    _ => Node::Bytes(number, content.to_vec()),
                }
            }
            5 => Node::Fixed32(number, u32::from_le_bytes(*take(&mut bytes, 4)?.first_chunk()?)),
            _ => return None,
        });
    }
    Some(nodes)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(bytes).ok()
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(head)
}

/// The bytes of a tree.
pub(crate) fn write(nodes: &[Node], out: &mut Vec<u8>) {
    for node in nodes {
        match node {
            Node::Varint(number, value) => {
                encode_varint(u64::from(number << 3), out);
                encode_varint(*value, out);
            }
            Node::Fixed64(number, value) => {
                encode_varint(u64::from(number << 3 | 1), out);
                out.extend_from_slice(&value.to_le_bytes());
            }
            Node::Bytes(number, content) => bytes(*number, content, out),
            Node::Message(number, inner) => {
                let mut content = Vec::new();
                write(inner, &mut content);
                bytes(*number, &content, out);
            }
            Node::Fixed32(number, value) => {
                encode_varint(u64::from(number << 3 | 5), out);
                out.extend_from_slice(&value.to_le_bytes());
            }
            Node::Raw(raw) => out.extend_from_slice(raw),
        }
    }
}

fn bytes(number: u32, content: &[u8], out: &mut Vec<u8>) {
    encode_varint(u64::from(number << 3 | 2), out);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

/// Keeps a few fields of each number, so that recorded requests are small.
pub(crate) fn crop(nodes: &mut Vec<Node>, most: usize) {
    let mut seen = [0_usize; 32];
    nodes.retain_mut(|node| {
        let Node::Message(number, inner) = node else { return true };
        crop(inner, most);
        seen[*number as usize & 31] += 1;
        seen[*number as usize & 31] <= most
    });
}

/// One to four changes somewhere in the tree.
pub(crate) fn mutate(random: &mut SmallRng, nodes: &mut Vec<Node>) {
    for _ in 0..random.random_range(1..5) {
        let donor = pick(random, nodes).cloned();
        change(random, nodes, donor);
    }
}

fn pick<'n>(random: &mut SmallRng, nodes: &'n [Node]) -> Option<&'n Node> {
    let node = nodes.choose(random)?;
    match node {
        Node::Message(_, inner) if !inner.is_empty() && random.random_bool(0.8) => pick(random, inner),
        node => Some(node),
    }
}

fn change(random: &mut SmallRng, nodes: &mut Vec<Node>, donor: Option<Node>) {
    let inner: Vec<usize> = (0..nodes.len()).filter(|at| matches!(nodes[*at], Node::Message(..))).collect();
    if let Some(&at) = inner.choose(random)
        && random.random_bool(0.8)
        && let Node::Message(_, inner) = &mut nodes[at]
    {
        return change(random, inner, donor);
    }
    if nodes.is_empty() {
        return nodes.extend(donor);
    }
    let (at, to) = (random.random_range(0..nodes.len()), random.random_range(0..nodes.len()));
    match random.random_range(0..16) {
        0 => nodes.insert(to, nodes[at].clone()),
        1 => {
            nodes.remove(at);
        }
        2 => nodes.swap(at, to),
        3 => nodes.shuffle(random),
        4 => split(random, nodes, at),
        5 | 6 => nodes[at] = edge(random, &nodes[at]),
        7 => nodes[at] = retyped(random, &nodes[at]),
        8 => nodes.insert(to, stranger(random)),
        9 | 10 => nodes[at] = resized(random, &nodes[at]),
        11 => renumber(random, &mut nodes[at]),
        12 => nodes[at] = overlong(random, &nodes[at]),
        13 => nodes[at] = repacked(&nodes[at]),
        14 => nodes.extend(donor.map(|mut donor| {
            if random.random_bool(0.5) {
                renumber(random, &mut donor);
            }
            donor
        })),
        _ => nodes.insert(to, deep(random)),
    }
}

/// One message as two occurrences of its field, which readers merge.
fn split(random: &mut SmallRng, nodes: &mut Vec<Node>, at: usize) {
    if let Node::Message(number, inner) = &mut nodes[at] {
        let rest = inner.split_off(random.random_range(0..=inner.len()));
        let number = *number;
        let to = random.random_range(at + 1..=nodes.len());
        nodes.insert(to, Node::Message(number, rest));
    }
}

fn edge(random: &mut SmallRng, node: &Node) -> Node {
    let value = *EDGES.choose(random).expect("not empty");
    match node {
        Node::Varint(number, _) => Node::Varint(*number, value),
        Node::Fixed64(number, _) => Node::Fixed64(*number, value),
        Node::Fixed32(number, _) => Node::Fixed32(*number, value as u32),
        other => other.clone(),
    }
}

fn number_of(node: &Node) -> u32 {
    match node {
        Node::Varint(number, _)
        | Node::Fixed64(number, _)
        | Node::Fixed32(number, _)
        | Node::Bytes(number, _)
        | Node::Message(number, _) => *number,
        Node::Raw(_) => 1,
    }
}

fn retyped(random: &mut SmallRng, node: &Node) -> Node {
    let number = number_of(node);
    match random.random_range(0..6) {
        0 => Node::Varint(number, random.random()),
        1 => Node::Fixed64(number, random.random()),
        2 => Node::Fixed32(number, random.random()),
        3 => Node::Bytes(number, vec![random.random(); random.random_range(0..4)]),
        4 => Node::Message(number, Vec::new()),
        // A wire type that does not exist, or the end of a group that did not begin.
        _ => Node::Raw(vec![(number << 3) as u8 | *[4, 6, 7].choose(random).expect("not empty")]),
    }
}

/// A field that nobody knows, a group, or a length without end.
fn stranger(random: &mut SmallRng) -> Node {
    let number = random.random_range(17..40_000_u32);
    let mut raw = Vec::new();
    match random.random_range(0..5) {
        0 => return Node::Varint(number, random.random()),
        1 => return Node::Bytes(number, vec![0xff; random.random_range(0..9)]),
        2 => {
            encode_varint(u64::from(number << 3 | 3), &mut raw);
            write(&[Node::Varint(1, 7), Node::Fixed32(2, 1), Node::Bytes(3, vec![1, 2])], &mut raw);
            let closed = if random.random_bool(0.9) { number } else { number + 1 };
            encode_varint(u64::from(closed << 3 | 4), &mut raw);
        }
        3 => raw.extend_from_slice(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2]),
        _ => raw.extend_from_slice(&[0x03, 0x00]),
    }
    Node::Raw(raw)
}

fn resized(random: &mut SmallRng, node: &Node) -> Node {
    let Node::Bytes(number, content) = node else { return retyped(random, node) };
    let mut content = content.clone();
    match random.random_range(0..6) {
        0 => content.clear(),
        1 => content.truncate(content.len() / 2),
        2 => content.push(random.random()),
        3 => content.fill(0),
        4 => content.resize(random.random_range(1..300), b'x'),
        _ => {
            let at = random.random_range(0..=content.len());
            content.splice(at..at, [0xff, 0xc0]);
        }
    }
    Node::Bytes(*number, content)
}

fn renumber(random: &mut SmallRng, node: &mut Node) {
    let to = random.random_range(1..17);
    match node {
        Node::Varint(number, _)
        | Node::Fixed64(number, _)
        | Node::Fixed32(number, _)
        | Node::Bytes(number, _)
        | Node::Message(number, _) => *number = to,
        Node::Raw(_) => {}
    }
}

/// A varint, or a length, in more bytes than it needs; sometimes in more than there may be.
fn overlong(random: &mut SmallRng, node: &Node) -> Node {
    let (number, wire_type, value, content) = match node {
        Node::Varint(number, value) => (*number, 0, *value, Vec::new()),
        Node::Bytes(number, content) => (*number, 2, content.len() as u64, content.clone()),
        other => return other.clone(),
    };
    let mut raw = Vec::new();
    encode_varint(u64::from(number << 3 | wire_type), &mut raw);
    let room = random.random_range(encoded_len_varint(value)..12);
    encode_varint(value, &mut raw);
    for _ in encoded_len_varint(value)..room {
        *raw.last_mut().expect("not empty") |= 0x80;
        raw.push(0);
    }
    raw.extend_from_slice(&content);
    Node::Raw(raw)
}

/// A packed run as single elements, a single element as a packed run.
fn repacked(node: &Node) -> Node {
    match node {
        Node::Bytes(number, content) if !content.is_empty() && content.len().is_multiple_of(8) => {
            let mut raw = Vec::new();
            let words = content.chunks(8).map(|word| u64::from_le_bytes(*word.first_chunk().expect("eight bytes")));
            write(&words.map(|word| Node::Fixed64(*number, word)).collect::<Vec<_>>(), &mut raw);
            Node::Raw(raw)
        }
        Node::Bytes(number, content) => {
            let nodes: Vec<_> = content.iter().map(|byte| Node::Varint(*number, u64::from(*byte))).collect();
            let mut raw = Vec::new();
            write(&nodes, &mut raw);
            Node::Raw(raw)
        }
        Node::Fixed64(number, value) => Node::Bytes(*number, [value.to_le_bytes(), value.to_le_bytes()].concat()),
        Node::Varint(number, value) => {
            let mut content = Vec::new();
            encode_varint(*value, &mut content);
            encode_varint(1, &mut content);
            Node::Bytes(*number, content)
        }
        other => other.clone(),
    }
}

/// Nested values as an attribute or a body has them.
fn deep(random: &mut SmallRng) -> Node {
    let levels = *[3, 8, 31, 63, 64, 65, 90].choose(random).expect("not empty");
    let inner = (1..levels).fold(vec![Node::Varint(3, 7)], |inner, _| {
        if random.random_bool(0.7) {
            vec![Node::Message(5, vec![Node::Message(1, inner)])]
        } else {
            let entry = vec![Node::Bytes(1, b"k".to_vec()), Node::Message(2, inner)];
            vec![Node::Message(6, vec![Node::Message(1, entry)])]
        }
    });
    let key = Node::Bytes(1, b"deep".to_vec());
    Node::Message(*[5, 6, 7, 9].choose(random).expect("not empty"), vec![key, Node::Message(2, inner)])
}
