//! The history: what is kept in a file, what becomes of it when the disk is slow, and when the disk has damaged it.

#[path = "../testing/clocked_hub.rs"]
mod clocked_hub;
#[path = "../testing/fake_socket.rs"]
mod fake_socket;
#[path = "../support/mod.rs"]
mod support;

mod damage;
mod kept;
mod late;
mod older_files;
mod tools;
