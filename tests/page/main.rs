//! The chat page in a real browser: what people see and do there, in a headless Chromium.
//!
//! Most tests run against the real daemon. Where a server has to misbehave, [`impostor::Impostor`] stands in for it, and
//! [`proxy::Proxy`] for a network that does.

#[path = "../support/browser.rs"]
mod browser;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/mod.rs"]
mod support;

mod damage;
mod drafts;
mod hostile;
mod impostor;
mod keyboard;
mod limits;
mod looks;
mod network;
mod notifications;
mod person;
mod persons;
mod reading;
mod reconnect;
mod rooms;
mod talk;
mod texts;
