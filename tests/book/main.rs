//! The book says what is so: its code is the source's, its sessions were run, its bytes decoded, its figures measured.
//!
//! What is checked stands in a page below a comment that says where it is from: `<!-- source: … -->` and so on. `BOOK=overwrite cargo test --test book` writes into the pages what is so today; what needs websocat
//! follows with `-- --include-ignored`. Overwrite twice: a translation takes over what the first time has written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]

mod diagrams;
mod figures;
mod frames;
mod page;
#[path = "../testing/rust_source.rs"]
mod rust_source;
mod session;
mod source;
mod structure;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;

use page::{Checked, pages, rewrite};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Pages, and whatever else can be written anew, are to be.
fn is_to_overwrite() -> bool {
    std::env::var_os("BOOK").is_some_and(|value| value == "overwrite")
}

fn report(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule} (BOOK=overwrite writes what can be written):\n  {}\n", faults.join("\n  "));
}

#[test]
fn every_piece_of_code_in_the_pages_is_that_of_its_source() {
    let faults = rewrite(&pages(), |_, block| match block.directive("source") {
        Some(region) => Checked::against(block, source::region(region)),
        None if ["rust", "php"].contains(&block.language) => {
            Checked::Fault("no `<!-- source: FILE ITEM -->` above it: code is never typed".into())
        }
        None => Checked::Fine,
    });
    report("code in a page is not that of the source it names", &faults);
}

#[test]
fn every_frame_in_the_pages_decodes_to_what_the_page_says() {
    let faults = rewrite(&pages(), |_, block| {
        if block.language != "hex" || block.directive("not decoded").is_some_and(|reason| !reason.is_empty()) {
            return Checked::Fine;
        }
        match block.directive("frames") {
            Some(claim) => frames::check(claim, block.content).map_or_else(Checked::Fault, |()| Checked::Fine),
            None => {
                Checked::Fault("no `<!-- frames: client: … -->` and no `<!-- not decoded: REASON -->` above it".into())
            }
        }
    });
    report("bytes in a page are not what it says", &faults);
}

#[test]
fn every_session_in_the_pages_that_needs_only_roomd_goes_as_shown() {
    let faults = session::replay(|page| !session::needs_websocat(page));
    report("a session in a page goes otherwise", &faults);
}

#[test]
#[ignore = "needs websocat; tests/run installs it"]
fn every_session_in_the_pages_that_shows_websocat_goes_as_shown() {
    let faults = session::replay(session::needs_websocat);
    report("a session in a page goes otherwise", &faults);
}

#[test]
fn every_figure_in_the_pages_is_that_of_the_table_of_figures_and_that_is_what_was_measured() {
    let mut faults = figures::check_table();
    faults.extend(figures::check_pages());
    report("a figure is not what was measured", &faults);
}

#[test]
fn every_chapter_has_the_same_headings_in_the_same_order() {
    report("a chapter is not built like the others", &structure::chapter_headings());
}

#[test]
fn the_summaries_list_every_page_and_no_other() {
    report("a page and its summary do not agree", &structure::summaries());
}

#[test]
fn the_translation_shows_the_same_code_bytes_sessions_figures_and_diagrams_in_the_same_order() {
    report("a page of docs/zh and its original do not show the same", &structure::translations());
}

#[test]
fn every_defect_that_a_page_speaks_of_names_tests_that_exist() {
    report("a test that does not exist", &structure::defect_tests());
}

#[test]
fn the_diagrams_of_states_and_of_layers_are_those_of_the_source() {
    report("a diagram is not what the source says", &diagrams::generated());
}

#[test]
fn every_diagram_has_words_for_those_who_cannot_see_it_and_colours_for_light_and_dark() {
    report("a diagram lacks something", &diagrams::legible());
}
