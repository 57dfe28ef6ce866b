//! Whether a file goes on from where the last daemon left it.

use super::*;

/// What the ids of the room are for the next daemon, and what it gives: the epoch, the base, the next id.
fn next_daemon(folder: &Folder) -> (Epoch, u64, u64) {
    let mut database = open(folder);
    let base = database.ids("r").unwrap().base;
    (database.epoch(), base, append(&mut database, &[said("r", "next")])[0])
}

/// A daemon that has said `batches` messages in batches of one, and is killed. Gives its epoch, and how long the
/// write-ahead log was after each.
pub(super) fn killed_after(folder: &Folder, batches: usize) -> (Epoch, Vec<u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("history::sqlite::database::tests::continuity::say_until_killed")
        .env("ROOMD_TEST_FILE", folder.file())
        .env("ROOMD_TEST_BATCHES", batches.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told = lines.find_map(|line| line.split_once("told ").map(|(_, told)| told.to_owned())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let mut numbers = told.split(' ').map(|number| number.parse().unwrap());
    (Epoch(numbers.next().unwrap()), numbers.collect())
}

#[test]
#[ignore = "the other process of killed_after"]
fn say_until_killed() {
    let Some(path) = std::env::var_os("ROOMD_TEST_FILE") else { return };
    let batches: usize = std::env::var("ROOMD_TEST_BATCHES").unwrap().parse().unwrap();
    let mut database = Database::open_at(Path::new(&path), Durability::Normal, Some(0)).unwrap();
    let mut told = format!("told {}", database.epoch().0);
    let wal = log_end::log_path(Path::new(&path));
    for nth in 0..batches {
        append(&mut database, &[said("r", &nth.to_string())]);
        told += &format!(" {}", fs::metadata(&wal).unwrap().len());
    }
    std::io::stdout().write_all(format!("{told}\n").as_bytes()).unwrap();
    // Ends with the parent, if nobody kills it.
    let _ = std::io::stdin().read_line(&mut String::new());
    std::process::exit(0);
}

#[test]
fn after_an_orderly_end_and_after_a_kill_ids_go_on_in_the_same_epoch() {
    let folder = Folder::new();
    let (epoch, _) = killed_after(&folder, 2);
    assert_eq!(next_daemon(&folder), (epoch, 0, 3), "after a kill");
    assert_eq!(next_daemon(&folder), (epoch, 0, 4), "after an orderly end");
    // Long enough for the log to be folded several times.
    let (again, ends) = killed_after(&folder, 1_500);
    assert!(ends.is_sorted() && ends[1_499] < 1_500 * 2 * 4_096, "the log was folded, and begun anew");
    assert_eq!(again, epoch);
    assert_eq!(next_daemon(&folder), (epoch, 0, 1_505));
}

/// The disk as it was some moments before: whatever is missing, no id that may have been given comes again.
#[test]
fn a_write_ahead_log_that_is_cut_at_any_length_is_never_taken_for_the_whole() {
    let folder = Folder::new();
    let (epoch, ends) = killed_after(&folder, 6);
    let whole = [folder.file(), folder.wal(), folder.mark()].map(|path| fs::read(&path).unwrap());
    let last = *ends.last().unwrap();
    assert_eq!(whole[1].len() as u64, last);
    let cuts = (0..last).step_by(1_009).chain(ends.iter().flat_map(|end| [end - 1, *end, end + 1]));
    let mut found = std::collections::BTreeSet::new();
    for cut in cuts.filter(|cut| *cut < last) {
        // In place, so that these are the very files; only the time of the file says that it was written to.
        let before = Folder::new();
        for (path, bytes) in [before.file(), before.wal(), before.mark()].iter().zip(&whole) {
            fs::write(path, bytes).unwrap();
        }
        EndMark::adopt(&before.file());
        assert_eq!(EndMark::read(&before.file()), Left::Killed, "the whole log is as it was left");
        File::options().write(true).open(before.wal()).unwrap().set_len(cut).unwrap();
        let (other, base, next) = next_daemon(&before);
        let is_there = ends.iter().filter(|end| **end <= cut).count() as u64;
        // Without its first message, the room itself is not there.
        assert_eq!(base, if is_there == 0 { 0 } else { next - 1 }, "cut at {cut}");
        assert!(other != epoch && next > 6, "cut at {cut}: {next}");
        found.insert(is_there);
        // The one after that goes on with what the first has begun.
        assert_eq!(next_daemon(&before), (other, next - 1, next + 1), "cut at {cut}");
    }
    assert_eq!(found.len(), 6, "of different ends: {found:?}");
}

#[test]
fn a_file_that_was_put_back_copied_or_deleted_begins_anew() {
    let folder = Folder::new();
    let mut database = open(&folder);
    append(&mut database, &[said("r", "x"); 3]);
    drop(database);
    let all = || [folder.file(), folder.mark()].map(|path| (path.clone(), fs::read(&path).unwrap()));
    let backup = all();
    let (epoch, _, next) = next_daemon(&folder);
    assert_eq!(next, 4);
    let mut known = vec![epoch];
    let mut highest = next;
    for (what, how) in [
        ("the file alone is overwritten", &backup[..1]),
        ("the file and the mark are overwritten", &backup[..]),
        ("both are, once more", &backup[..]),
    ] {
        for (path, bytes) in how {
            fs::write(path, bytes).unwrap();
        }
        let (epoch, base, next) = next_daemon(&folder);
        assert!(!known.contains(&epoch) && base >= highest && next == base + 1, "{what}: {base} {highest}");
        known.push(epoch);
        // The clock stands still at the beginning of time here: only what is in the file keeps ids apart.
        highest = 4;
    }
    // Another file at its place, and the same once more.
    for _ in 0..2 {
        let bytes = fs::read(folder.file()).unwrap();
        fs::remove_file(folder.file()).unwrap();
        fs::write(folder.file(), bytes).unwrap();
        let (epoch, base, next) = next_daemon(&folder);
        assert!(!known.contains(&epoch) && base > highest && next == base + 1);
        (highest, _) = (next, known.push(epoch));
    }
    fs::remove_file(folder.mark()).unwrap();
    let (epoch, base, next) = next_daemon(&folder);
    assert!(!known.contains(&epoch) && base > highest, "without a mark");
    (highest, _) = (next, known.push(epoch));
    fs::rename(folder.file(), folder.0.path().join("elsewhere")).unwrap();
    fs::rename(folder.0.path().join("elsewhere"), folder.file()).unwrap();
    let (again, base, _) = next_daemon(&folder);
    assert!(again == epoch && base < highest, "away, and back: it is the same file");
    fs::remove_file(folder.file()).unwrap();
    assert!(!known.contains(&next_daemon(&folder).0), "deleted");
}

/// By the time, for nothing else is left.
#[test]
fn ids_of_a_new_file_lie_above_those_of_one_that_was_deleted() {
    let folder = Folder::new();
    let at = |now_us| Database::open_at(&folder.file(), Durability::Normal, Some(now_us)).unwrap();
    let first = append(&mut at(5_000_000), &[said("r", "x"); 3]);
    assert_eq!(first, [5_000_001, 5_000_002, 5_000_003]);
    fs::remove_file(folder.file()).unwrap();
    assert_eq!(append(&mut at(6_000_000), &[said("r", "x"), said("new", "x")]), [6_000_001, 6_000_001]);
    // One that was put back goes on above both, whatever the clock says.
    assert!(append(&mut Database::open(&folder.file(), Durability::Normal).unwrap(), &[said("r", "x")])[0] > 0);
    let late = u64::MAX;
    fs::remove_file(folder.file()).unwrap();
    assert_eq!(append(&mut at(late), &[said("r", "x")]), [(1 << 52) + 1], "JavaScript counts on from there");
}

#[test]
fn what_was_said_before_ids_jumped_is_read_with_what_was_said_after_and_deleted_in_its_order() {
    let folder = Folder::new();
    append(&mut open(&folder), &["a", "b", "c"].map(|text| said("r", text)));
    let mut jumped = Vec::new();
    for text in ["d", "e"] {
        fs::remove_file(folder.mark()).unwrap();
        let mut database = open(&folder);
        let ids = database.ids("r").unwrap();
        assert_eq!((ids.first, ids.base), (0, ids.last), "nothing has been said since");
        jumped.extend(append(&mut database, &[said("r", text), said("r", text)]));
        assert_eq!(jumped[jumped.len() - 2], ids.base + 1);
    }
    let mut database = open(&folder);
    let all = database.read_after("r", 0, ALL).unwrap();
    assert_eq!((texts(&all), all.is_cut), (vec!["a", "b", "c", "d", "d", "e", "e"], false));
    assert!(all.messages.iter().all(|message| message.kind == Kind::Message), "nothing in a gap is damaged");
    let page = database.read_before("r", None, size(4, 9_999)).unwrap();
    assert_eq!((texts(&page), page.more), (vec!["d", "d", "e", "e"], true));
    let page = database.read_before("r", Some(jumped[1]), size(3, 9_999)).unwrap();
    assert_eq!((texts(&page), page.more), (vec!["b", "c", "d"], true));
    assert_eq!(texts(&database.read_after("r", 2, size(2, 9_999)).unwrap()), ["c", "d"]);
    drop(database);
    let report = check::check(&folder.file()).unwrap();
    assert!(report.faults == 0 && report.text.contains("7 messages"), "{}", report.text);
    let mut database = open(&folder);
    for (keep, expected) in [(5, &["c", "d", "d", "e", "e"][..]), (4, &["d", "d", "e", "e"]), (1, &["e"])] {
        trim_all(&mut database, keep_messages(keep), 0);
        let all = database.read_after("r", 0, ALL).unwrap();
        assert_eq!((texts(&all), all.is_cut), (expected.to_vec(), true));
    }
    let gaps: u64 = database.connection.query_row("SELECT count(*) FROM gap", [], |row| row.get(0)).unwrap();
    assert_eq!(gaps, 0, "what is before the first message is none");
    assert_eq!(append(&mut database, &[said("r", "f")]), [jumped[3] + 1]);
}
