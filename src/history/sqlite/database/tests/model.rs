//! The file against a list in memory.

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(usize, Kind, String)>),
    /// A batch that fails in its middle.
    AppendInVain(Vec<(usize, Kind, String)>),
    Trim {
        messages: Option<u64>,
        max_age_ms: Option<u64>,
    },
    Reopen,
    Wait(u64),
    Read {
        room: usize,
        id: u64,
        limit: usize,
        max_bytes: usize,
    },
}

const ROOMS: [&str; 3] = ["lobby", "Lobby", "汉"];

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Kind::Message), Just(Kind::Action)];
    let batch = proptest::collection::vec((0..ROOMS.len(), kind, any::<String>()), 0..6);
    prop_oneof![
        4 => batch.clone().prop_map(Step::Append),
        1 => batch.prop_map(Step::AppendInVain),
        1 => (proptest::option::of(1..8_u64), proptest::option::of(0..50_u64))
            .prop_map(|(messages, max_age_ms)| Step::Trim { messages, max_age_ms }),
        1 => Just(Step::Reopen),
        1 => (0..40_u64).prop_map(Step::Wait),
        4 => (0..ROOMS.len(), 0..30_u64, 0..12_usize, 0..2_000_usize)
            .prop_map(|(room, id, limit, max_bytes)| Step::Read { room, id, limit, max_bytes }),
    ]
}

/// The same in the plainest way.
#[derive(Default)]
struct Model {
    rooms: BTreeMap<usize, (u64, Vec<Stored>)>,
}

impl Model {
    fn append(&mut self, now: u64, room: usize, kind: Kind, text: &str) -> u64 {
        let (last_id, messages) = self.rooms.entry(room).or_default();
        *last_id += 1;
        messages.push(Stored {
            id: *last_id,
            unix_ms: now,
            kind,
            name: Name::from_stored("n"),
            tag: None,
            text: text.into(),
        });
        *last_id
    }

    fn trim(&mut self, messages: Option<u64>, max_age_ms: Option<u64>, now: u64) -> u64 {
        let mut trimmed = 0;
        for (last_id, kept) in self.rooms.values_mut() {
            let before = kept.len();
            kept.retain(|message| {
                messages.is_none_or(|messages| message.id + messages > *last_id)
                    && max_age_ms.is_none_or(|age| message.unix_ms + age >= now)
            });
            trimmed += (before - kept.len()) as u64;
        }
        trimmed
    }

    fn last_id(&self, room: usize) -> u64 {
        self.rooms.get(&room).map_or(0, |(last_id, _)| *last_id)
    }

    /// The oldest that is kept, or else the next.
    fn oldest_id(&self, room: usize) -> u64 {
        let next = if self.rooms.contains_key(&room) { self.last_id(room) + 1 } else { 0 };
        self.messages(room).next().map_or(next, |message| message.id)
    }

    fn messages(&self, room: usize) -> impl DoubleEndedIterator<Item = &Stored> {
        self.rooms.get(&room).into_iter().flat_map(|(_, messages)| messages)
    }

    fn newest<'a>(room: &str, newest_first: impl Iterator<Item = &'a Stored>, size: PageSize) -> Page {
        let mut page = Model::page(room, newest_first, size);
        page.messages.reverse();
        page
    }

    fn page<'a>(room: &str, matching: impl Iterator<Item = &'a Stored>, size: PageSize) -> Page {
        let matching: Vec<&Stored> = matching.collect();
        let bytes = |count: usize| matching[..count].iter().map(|message| sent_bytes(room, message)).sum::<usize>();
        let fits = |&count: &usize| count <= size.messages && (count <= 1 || bytes(count) <= size.bytes);
        let count = (0..=matching.len()).rev().find(fits).unwrap();
        Page {
            messages: matching[..count].iter().copied().cloned().collect(),
            more: count < matching.len(),
            is_cut: false,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn whatever_is_done_the_file_holds_what_a_list_in_memory_would(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let folder = Folder::new();
        let mut database = open(&folder);
        let mut model = Model::default();
        let mut now = 1_000;
        for step in steps {
            let batch_of = |messages: &[(usize, Kind, String)], ids: &mut Vec<u64>, database: &mut Database| {
                let said = messages.iter().map(|(room, kind, text)| {
                    Said { room: ROOMS[*room], name: "n", unix_ms: now, kind: *kind, text }
                });
                database.append(&batch(&said.collect::<Vec<_>>()), ids).map_err(|error| error.cause())
            };
            match step {
                Step::Append(batch) => {
                    let mut ids = vec![77];
                    prop_assert_eq!(batch_of(&batch, &mut ids, &mut database), Ok(()));
                    let expected = batch.iter().map(|(room, kind, text)| model.append(now, *room, *kind, text));
                    prop_assert_eq!(&ids[1..], expected.collect::<Vec<_>>());
                }
                Step::AppendInVain(mut batch) => {
                    batch.push((0, Kind::Message, "x".repeat(2_000_000)));
                    database.connection.pragma_update(None, "max_page_count", 200).unwrap();
                    let mut ids = vec![77];
                    let result = batch_of(&batch, &mut ids, &mut database);
                    prop_assert_eq!(result, Err(Cause::Full));
                    prop_assert_eq!(ids, [77]);
                    database.connection.pragma_update(None, "max_page_count", 1_000_000).unwrap();
                }
                Step::Trim { messages, max_age_ms } => {
                    let max_age = max_age_ms.map(Duration::from_millis);
                    let keep = Retention { messages: messages.and_then(NonZeroU64::new), max_age, ..Retention::ALL };
                    let trimmed = trim_all(&mut database, keep, now);
                    prop_assert_eq!(trimmed, model.trim(messages, max_age_ms, now));
                }
                Step::Reopen => {
                    drop(database);
                    database = open(&folder);
                }
                Step::Wait(ms) => now += ms,
                Step::Read { room, id, limit, max_bytes } => {
                    let older = model.messages(room).rev().filter(|message| message.id < id);
                    let expected = Model::newest(ROOMS[room], older, size(limit, max_bytes));
                    prop_assert_eq!(database.read_before(ROOMS[room], Some(id), size(limit, max_bytes)).unwrap(), expected);
                    let newer = model.messages(room).filter(|message| message.id > id);
                    let is_cut = id + 1 < model.oldest_id(room);
                    let expected = Page { is_cut, ..Model::page(ROOMS[room], newer, size(limit, max_bytes)) };
                    prop_assert_eq!(database.read_after(ROOMS[room], id, size(limit, max_bytes)).unwrap(), expected);
                }
            }
        }
        for (room, name) in ROOMS.iter().enumerate() {
            prop_assert_eq!(database.last_id(name).unwrap(), model.last_id(room));
            let expected = Model::newest(ROOMS[room], model.messages(room).rev(), size(1_000, usize::MAX));
            prop_assert_eq!(database.read_before(name, None, size(1_000, usize::MAX)).unwrap(), expected);
        }
    }
}
