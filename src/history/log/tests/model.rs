//! The log against a model of each room that is as plain as can be.

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Open(u32),
    Say(u32),
    Mark(u32, u32),
    Read(u32),
    Turn,
    Tell(Verdict),
}

fn step() -> impl Strategy<Value = Step> {
    let room = 0..3_u32;
    prop_oneof![
        1 => room.clone().prop_map(Step::Open),
        5 => room.clone().prop_map(Step::Say),
        4 => (room.clone(), 0..3_u32).prop_map(|(room, mark)| Step::Mark(room, mark)),
        2 => room.prop_map(Step::Read),
        4 => Just(Step::Turn),
        3 => Just(Step::Tell(Verdict::Do)),
        1 => Just(Step::Tell(Verdict::Fail)),
    ]
}

/// One room in the plainest way: what is still to come back, in order, and what has.
#[derive(Default)]
struct Model {
    is_asked_for: bool,
    is_open: bool,
    expected: VecDeque<Got>,
    readings: usize,
    ids: Vec<u64>,
}

fn check(models: &mut [Model], room: RoomKey, got: &Got) -> Result<(), TestCaseError> {
    let model = &mut models[room.0 as usize];
    prop_assert!(model.is_open || matches!(got, Got::Opened(..)), "{:?} before the room is open", got);
    match got {
        Got::Opened(last_id, _) => {
            prop_assert!(!model.is_open && *last_id == 0);
            model.is_open = true;
        }
        Got::Read(_, page) => {
            model.readings -= 1;
            prop_assert!(page.as_ref().is_none_or(|ids| *ids == model.ids), "{:?}, not {:?}", page, model.ids);
        }
        got => {
            let expected = model.expected.pop_front();
            match (got, expected) {
                (Got::Said(id, text), Some(Got::Said(_, expected))) => {
                    prop_assert_eq!(text, &expected);
                    model.ids.push(*id);
                    prop_assert_eq!(*id, model.ids.len() as u64, "ids rise by one");
                }
                (Got::Refused(7), Some(Got::Said(..))) => {}
                (got, expected) => prop_assert_eq!(Some(got.clone()), expected),
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn whatever_the_disk_does_each_room_gets_back_what_was_appended_in_that_order(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut bench = Bench::new(KEEP_ALL);
        let mut models: [Model; 3] = Default::default();
        let name = Name::tourist(1);
        let steps = steps.into_iter().chain((0..3).map(Step::Open));
        for (nth, step) in steps.enumerate() {
            match step {
                Step::Open(room) if !models[room as usize].is_asked_for => {
                    models[room as usize].is_asked_for = true;
                    bench.history.open(RoomKey(room), &RoomName::parse(&format!("room {room}")).unwrap());
                }
                Step::Say(room) if models[room as usize].is_asked_for => {
                    let text = nth.to_string();
                    bench.history.append(RoomKey(room), message(&name, &text));
                    models[room as usize].expected.push_back(Got::Said(0, text));
                }
                Step::Mark(room, mark) if models[room as usize].is_asked_for => {
                    let model = &mut models[room as usize];
                    let is_alone = model.is_open && model.expected.is_empty();
                    bench.history.append(RoomKey(room), change(mark));
                    model.expected.push_back(Got::Changed(mark));
                    if is_alone {
                        while let Some((room, got)) = bench.next() {
                            check(&mut models, room, &got)?;
                        }
                        prop_assert!(models[room as usize].expected.is_empty(), "a mark that had to wait for nothing");
                    }
                }
                Step::Read(room) if models[room as usize].is_asked_for => {
                    bench.history.read(RoomKey(room), Wanted::After(0), PAGE, member(9));
                    models[room as usize].readings += 1;
                }
                Step::Turn => {
                    while let Some((room, got)) = bench.next() {
                        check(&mut models, room, &got)?;
                    }
                }
                Step::Tell(verdict) => bench.tell(verdict),
                _ => {}
            }
        }
        bench.verdicts = None;
        let is_done = |models: &[Model]| models.iter().all(|model| {
            model.is_open && model.expected.is_empty() && model.readings == 0
        });
        loop {
            while let Some((room, got)) = bench.next() {
                check(&mut models, room, &got)?;
            }
            if is_done(&models) {
                break;
            }
            prop_assert!(bench.wakes.recv_timeout(PATIENCE).is_ok(), "something never comes back");
        }
        prop_assert_eq!(bench.history.backlog.entries + bench.history.backlog.text_bytes, 0);
        prop_assert_eq!(bench.history.pressure(), Pressure::Low);
    }
}
