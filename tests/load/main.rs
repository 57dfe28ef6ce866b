//! What measures is tested: the load generator and the load scripts, against a daemon and against servers that go wrong.

#[path = "../support/example.rs"]
mod example;
#[path = "../support/faulty.rs"]
mod faulty;
#[path = "../support/mod.rs"]
mod support;

mod test_generator;
mod test_scripts;
