// The link to the server: one WebSocket at a time, another one when it is gone, and the words about it in the header.
//
// It knows nothing of what is said. chat.js gives it its address and takes what comes in to events.js.

import { elements } from './elements.js';
import { after, cancel } from './timers.js';
import { findTrouble } from './trouble.js';
import { put, putText } from './words.js';

const FIRST_WAIT_MS = 500; // reconnecting: the longest first wait; it doubles with each failure ...
const LONGEST_WAIT_MS = 30_000; // ... up to this
const SHORTEST_WAIT_MS = 100; // never a spin, even when the dice say zero
const RARE_FAILURES = 5; // where haste does not help, the wait is as if we had failed this often (within 16 s, not 0.5)
const LASTING_FAILURES = 3; // a server that is started again is back before: what fails so often gets advice
const STEADY_MS = 10_000; // a connection that held this long was a good one: the waits start small again
const OPENING_MS = 10_000; // browsers try for minutes to reach a host that swallows packets; a person does not

// A dead network says nothing, and a browser does not tell its page of the server's pings. So the page asks by itself, with a
// `/ping` that is answered to it alone; and any event at all is a sign of life.
const SIGN_OF_LIFE = 'sign-of-life'; // its token, to tell its answer from that to a `/ping` which somebody has typed
const QUIET_MS = 25_000; // nothing has come for so long: we ask. Below the server's own 30 s, so that one question serves both
const PONG_MS = 25_000; // and nothing for so long after: the connection is dead. It may wait for a slow disk, hence the patience
const UNHEARD_MS = 5_000; // we spoke, and nothing has come since: we ask
const UNHEARD_PONG_MS = 15_000;
const WAKING_PONG_MS = 10_000; // somebody has come back to the page, or the machine has slept, and the network is likely gone
const FRESH_MS = 2_000; // what was heard or asked so lately need not be asked
const LATE_MS = 5_000; // a timer that comes so late: the machine has slept, or the browser has slowed a hidden page down

const page = elements('status', 'status-what', 'status-more', 'retry', 'alarm', 'send');

// `socket` is the only one that counts: events of any other come too late and are ignored. `deadAt` is when it counts as dead
// unless something comes; `asked` the questions that have not been answered; `trouble` why it could not be opened.
const link = {
  socket: null, state: 'connecting', failures: 0, retryAt: 0, heardAt: 0, askedAt: 0, deadAt: Infinity, asked: 0, graced: false,
  trouble: null,
};
const CONNECTION_TIMERS = ['opening', 'steady', 'retry', 'countdown', 'quiet', 'unheard', 'pong'];
let hooks = {};
let alarmed = ''; // what the alarm says

// `address()` gives the address to connect to, and `room()` its room. `opened()`, `received(data)` and `dropped()` are called when a
// connection is there, when something comes, and when it is let go; `lost()` when that was not our wish; `changed()` when the
// state has changed.
export function prepareLink(theirs) {
  hooks = theirs;
  page.retry.addEventListener('click', () => {
    connect();
    hooks.retried();
  });

  // A person who comes back to the page, or a network that comes back to the machine, should not have to wait for a timer.
  document.addEventListener('visibilitychange', () => document.hidden || wake());
  for (const sign of ['pageshow', 'online', 'focus']) window.addEventListener(sign, wake);

  // Leave politely; and a page with an open socket could not be kept for the browser's back button.
  window.addEventListener('pagehide', () => {
    abandon();
    setState('waiting');
  });
}

export function linkState() {
  return link.state;
}

export function isOpen() {
  return link.state === 'open';
}

export function send(text) {
  link.socket.send(text);
}

// Something was said that is to come back. If nothing comes at all, we ask.
export function awaitEcho() {
  after('unheard', UNHEARD_MS, () => {
    if (Date.now() - link.heardAt >= UNHEARD_MS) ask(UNHEARD_PONG_MS);
  });
}

// Whether an answer is one to the link's own question. A server that does not know `/ping` answers with an error.
export function isSignOfLife(event) {
  const isOurs = link.asked > 0 && (event.type === 'error' ? event.code === 'unknown-command' : event.token === SIGN_OF_LIFE);
  if (isOurs) link.asked -= 1;
  return isOurs;
}

export function connect() {
  abandon();
  setState('connecting');
  say('connecting');
  const socket = new WebSocket(hooks.address());
  link.socket = socket;
  // Each listener asks first whether its socket is still the one in use.
  const current = (handle) => (event) => socket === link.socket && handle(event);
  socket.addEventListener('open', current(onOpen));
  socket.addEventListener('message', current(onFrame));
  socket.addEventListener('close', current(onClose));
  // There is no 'error' listener: it would tell nothing, and 'close' always follows.
  after('opening', OPENING_MS, () => onLost('no-answer'));
}

// connecting | open | waiting | closed | unsupported. The style sheet colours by it, and tests wait for it.
export function setState(state) {
  link.state = state;
  document.body.dataset.state = state;
  page.status.dataset.state = state;
  page.send.disabled = state !== 'open';
  page.retry.hidden = state !== 'waiting' && state !== 'closed';
  hooks.changed?.();
}

// The first half is announced to a screen reader; what stands in the second changes often and is not.
export function say(key, values = {}) {
  put(page['status-what'], key, values);
  putText(page['status-more'], '');
}

// What the header has no room for. An alarm is read out each time it is written, so it is written once.
export function sayAlarm(key = '', values = {}) {
  const alarm = key && JSON.stringify([key, values]);
  if (alarm === alarmed) return;
  alarmed = alarm;
  page.alarm.hidden = !key;
  if (key) put(page.alarm, key, values);
  else putText(page.alarm, '');
}

// ---------------------------------------------------------------------------------------------------------------------
// While it is open.

function onOpen() {
  cancel('opening');
  after('steady', STEADY_MS, () => (link.failures = 0));
  link.trouble = null;
  setState('open');
  say('online');
  sayAlarm('');
  noteHeard();
  listen();
  hooks.opened();
}

function onFrame({ data }) {
  noteHeard();
  hooks.received(data);
}

function noteHeard() {
  cancel('pong');
  Object.assign(link, { heardAt: Date.now(), deadAt: Infinity, graced: false });
}

// One timer for many events: when it comes, it looks how long it has been quiet. (The clock may have been set back.)
function listen() {
  const rest = Math.min(QUIET_MS, QUIET_MS - (Date.now() - link.heardAt));
  const due = Date.now() + rest;
  after('quiet', rest, () => {
    const quiet = Date.now() - link.heardAt;
    if (quiet >= QUIET_MS) ask(Date.now() - due > LATE_MS ? WAKING_PONG_MS : PONG_MS);
    listen();
  });
}

// Asking again makes nobody wait longer: the earlier time counts.
function ask(patience) {
  const now = Date.now();
  if (now - Math.max(link.heardAt, link.askedAt) < FRESH_MS || link.socket?.readyState !== WebSocket.OPEN) return;
  send(`/ping ${SIGN_OF_LIFE}`);
  link.asked += 1;
  link.askedAt = now;
  link.deadAt = Math.min(link.deadAt, now + patience);
  after('pong', link.deadAt - now, judge);
}

// Nothing has come. But if the machine has slept since we asked, there was no time for an answer: then we ask once more.
function judge() {
  if (Date.now() - link.deadAt < LATE_MS || link.graced) return onLost('no-answer');
  Object.assign(link, { graced: true, deadAt: Infinity, askedAt: 0 });
  ask(WAKING_PONG_MS);
}

// A socket that is being opened is left alone, and one that is open is asked. The socket is looked at, not our own state:
// after a sleep the page may run before the browser has delivered the news that the connection is gone.
function wake() {
  if (link.state === 'closed') return;
  if (link.socket?.readyState === WebSocket.OPEN) ask(WAKING_PONG_MS);
  else if (link.socket?.readyState !== WebSocket.CONNECTING) connect();
}

// ---------------------------------------------------------------------------------------------------------------------
// When it is gone.

// Codes that mean something to a person. To all others the server's own reason says more, which is English.
const CLOSE_WORDS = new Map([[1001, 'close-1001'], [1009, 'close-1009'], [1013, 'close-1013']]);
const REASON_WORDS = new Map([
  ['too slow a reader: too much is waiting to be sent', 'close-slow'],
  ['no sign of life since the last ping', 'lost'],
  ['a message took too long to arrive', 'close-slow-message'],
]);

function onClose({ code, reason }) {
  if (code === 1000) onLost(reason ? 'close-reason' : 'goodbye', code, { reason });
  else if (CLOSE_WORDS.has(code)) onLost(CLOSE_WORDS.get(code), code);
  else if (REASON_WORDS.has(reason)) onLost(REASON_WORDS.get(reason), code);
  else if (reason) onLost('close-reason', code, { reason });
  else onLost(code === 1008 ? 'close-1008' : undefined, code);
}

function onLost(key, code = 0, values = {}) {
  const wasOpen = link.state === 'open';
  abandon();
  hooks.lost();

  // 1000 is an orderly goodbye. Coming back by ourselves would be rude, so a person has to ask for it.
  if (code === 1000) {
    setState('closed');
    say(key, values);
    return;
  }
  if (code === 1013) link.failures = Math.max(link.failures, RARE_FAILURES);
  if (wasOpen) return waitAndReconnect(key ?? 'lost', values);
  // Mostly it is what it was the time before.
  waitAndReconnect(link.trouble?.say ?? key ?? 'unreachable', link.trouble?.values ?? values);
  explain();
}

// The waits are rolled, not fixed: when a server restarts, all its pages lose it in the same instant and must not all
// come back in the same instant. Rolling between zero and the limit ("full jitter") spreads them best.
function waitAndReconnect(key, values) {
  const limit = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** link.failures);
  const wait = Math.max(SHORTEST_WAIT_MS, Math.random() * limit);
  link.failures += 1;
  link.retryAt = Date.now() + wait;

  setState('waiting');
  say(key, values);
  after('retry', wait, connect);
  countDown();
}

function countDown() {
  put(page['status-more'], 'retry-in', { n: Math.max(1, Math.ceil((link.retryAt - Date.now()) / 1000)) });
  after('countdown', 1000, countDown);
}

// The handshake has failed, and why is asked for by other means, while the countdown runs. An answer that comes when the next
// attempt has failed as well is out of date.
async function explain() {
  const failures = link.failures;
  const trouble = await findTrouble(hooks.room());
  if (failures !== link.failures || link.state === 'open' || link.state === 'closed') return;
  const lasts = trouble.stays || link.failures >= LASTING_FAILURES;
  if (trouble.stays) link.failures = Math.max(link.failures, RARE_FAILURES);
  if (lasts) sayAlarm(trouble.advice, trouble.values);
  if (!lasts && trouble.isGuess) return;
  link.trouble = trouble;
  if (link.state === 'waiting') put(page['status-what'], trouble.say, trouble.values);
}

// Lets go of the socket at once. close() alone would not do: on a dead network it takes its time before it reports.
function abandon() {
  CONNECTION_TIMERS.forEach(cancel);
  const socket = link.socket;
  Object.assign(link, { socket: null, askedAt: 0, deadAt: Infinity, asked: 0, graced: false });
  if (socket) socket.close();
  hooks.dropped();
}
