// The page's one script: it joins the room whose address the page has, shows what is said there and sends what is typed.
//
// It is read from the top: numbers, what the page remembers, start(), and then five chapters in the order in which
// a message travels: the link to the server, the events that come in, the lines on the screen, the box one types in,
// and the words around it (state, title). The wire itself is one rule: lines of text go out, JSON objects come in.
//
// What others wrote reaches the page only through textContent. No function here takes HTML, so there is nothing to escape.

// ---------------------------------------------------------------------------------------------------------------------
// Numbers: each limit has its one home here.

const MAX_LINES = 1000; // the page may stay open for weeks: older lines are dropped, so that memory stays bounded
const MAX_MESSAGE_BYTES = 65_536; // the server's own limit: beyond it, it would close the connection instead of answering
const LONG_TEXT_CHARS = 1500; // longer texts are folded, or one pasted file would push everybody else off the screen
const LONG_TEXT_LINES = 20;
const GROUP_MS = 5 * 60_000; // one person's messages stand together under one name and time, but not for longer than this
const NEAR_END_PX = 40; // this close to the end counts as reading the end
const HUES = 12; // as many .hue-N classes are in style.css

const FIRST_WAIT_MS = 500; // reconnecting: the longest first wait; it doubles with each failure ...
const LONGEST_WAIT_MS = 30_000; // ... up to this
const SHORTEST_WAIT_MS = 100; // never a spin, even when the dice say zero
const FULL_SERVER_FAILURES = 5; // a full server is asked again as if we had failed this often (within 16 s, not 0.5)
const STEADY_MS = 10_000; // a connection that held this long was a good one: the waits start small again
const OPENING_MS = 10_000; // browsers try for minutes to reach a host that swallows packets; a person does not
const ANSWER_MS = 20_000; // we spoke, and heard nothing at all since: the connection is dead, though nobody told us
const REPLAY_MS = 2_000; // the history follows the welcome at once; after this long there is no more of it to come
const FLUSH_MS = 16; // lines are put on the screen in batches, about once per frame

// ---------------------------------------------------------------------------------------------------------------------
// What the page remembers.

const page = Object.fromEntries(
  [...document.querySelectorAll('[id]')].map((element) => [element.id, element]),
);

// The connection. `socket` is the only one that counts: events of any other come too late and are ignored.
const link = { socket: null, state: 'connecting', failures: 0, heardAt: 0, retryAt: 0 };

// All timers by name, so that setting one again replaces it and none is forgotten.
const timers = new Map();

// The room as far as we have seen it. `last` is the newest id at our welcome: up to it messages are history, beyond it news.
const room = { name: roomFromAddress(), welcomed: false, last: 0, newest: 0, spoken: false };

// Who we are, and who we were on the connection before: the server names each connection anew.
const me = { name: '', before: '' };

// What was sent and has not come back yet. `doubtful`: the connection broke meanwhile, so it may or may not have arrived.
const outbox = { sent: [], doubtful: [], lastWasCommand: false };

// The screen. `pending` lines are not in the document yet; `group` is the first message of the newest group in it.
const screen = { pending: [], group: null, day: '', follow: true, lastTop: 0, aim: Infinity, newer: 0, unread: 0 };

const encoder = new TextEncoder();
const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const dayFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'full' });
const exactFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

// One line for each type of event; a new one is added here and nowhere else.
// (A Map, since a plain object would also answer to "constructor" and its like.)
const handlers = new Map([
  ['welcome', onWelcome],
  ['message', onMessage],
  ['join', (event) => onPresence(event, 'joined')],
  ['leave', (event) => onPresence(event, 'left')],
  ['online', onOnline],
  ['error', onError],
]);

start();

function start() {
  page.room.textContent = room.name;
  page.example.textContent = `websocat ${roomUrl()}`;
  showTitle();
  prepareComposer();
  prepareView();
  if (!window.WebSocket) {
    sayUnsupported();
    return;
  }
  prepareLink();
  connect();
}

// ---------------------------------------------------------------------------------------------------------------------
// The link: one WebSocket at a time, and another one when it is gone.

function prepareLink() {
  page.retry.addEventListener('click', () => {
    connect();
    page.text.focus(); // the button vanishes: without this, the keyboard would be nowhere
  });

  // A person who comes back to the page, or a network that comes back to the machine, should not have to wait for a timer.
  document.addEventListener('visibilitychange', () => document.hidden || wake());
  window.addEventListener('pageshow', wake);
  window.addEventListener('online', wake);

  // Leave politely; and a page with an open socket could not be kept for the browser's back button.
  window.addEventListener('pagehide', () => {
    abandon();
    setState('waiting');
  });
}

// The room has the path of the page, on the page's own host: whoever could load the page can reach the room.
function roomUrl() {
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return `${scheme}//${location.host}${location.pathname === '/' ? '' : location.pathname}`;
}

function connect() {
  abandon();
  setState('connecting');
  say('Connecting…');

  const socket = new WebSocket(roomUrl());
  link.socket = socket;
  // Each listener asks first whether its socket is still the one in use.
  const current = (handle) => (event) => socket === link.socket && handle(event);
  socket.addEventListener('open', current(onOpen));
  socket.addEventListener('message', current(onFrame));
  socket.addEventListener('close', current((event) => onLost(closeReason(event), event.code)));
  // There is no 'error' listener: it would tell nothing, and 'close' always follows.
  after('opening', OPENING_MS, () => onLost('The server does not answer.'));
}

function onOpen() {
  cancel('opening');
  link.heardAt = Date.now();
  after('steady', STEADY_MS, () => (link.failures = 0));
  setState('open');
  say('Online');
  if (page.hint.textContent) hint(page.text.value ? 'Connected: it can be sent now.' : '');
}

function onLost(reason, code = 0) {
  const wasOpen = link.state === 'open';
  abandon();
  if (outbox.doubtful.length > 0) {
    hint('The connection broke before your last message came back. If it got lost, it will be put back here.');
  }

  // 1000 is an orderly goodbye. Coming back by ourselves would be rude, so a person has to ask for it.
  if (code === 1000) {
    setState('closed');
    say(reason ?? 'The server ended the connection.');
    return;
  }
  waitAndReconnect(reason || (wasOpen ? 'Connection lost.' : 'The server cannot be reached.'), code);
}

// The waits are rolled, not fixed: when a server restarts, all its pages lose it in the same instant and must not all
// come back in the same instant. Rolling between zero and the limit ("full jitter") spreads them best.
function waitAndReconnect(reason, code) {
  if (code === 1013) link.failures = Math.max(link.failures, FULL_SERVER_FAILURES);
  const limit = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** link.failures);
  const wait = Math.max(SHORTEST_WAIT_MS, Math.random() * limit);
  link.failures += 1;
  link.retryAt = Date.now() + wait;

  setState('waiting');
  say(reason);
  after('retry', wait, connect);
  countDown();
}

function countDown() {
  const seconds = Math.max(1, Math.ceil((link.retryAt - Date.now()) / 1000));
  sayMore(`Reconnecting in ${seconds} s`);
  after('countdown', 1000, countDown);
}

// Whatever woke us, a socket that is open or being opened is left alone. The socket is asked, not our own state:
// after a sleep the page may run before the browser has delivered the news that the connection is gone.
function wake() {
  if (link.state === 'closed') return;
  const alive = link.socket && link.socket.readyState <= WebSocket.OPEN;
  if (!alive) connect();
}

// Lets go of the socket at once. close() alone would not do: on a dead network it takes its time before it reports.
function abandon() {
  for (const name of ['opening', 'steady', 'retry', 'countdown', 'answer', 'replay']) cancel(name);
  const socket = link.socket;
  link.socket = null;
  if (socket) socket.close();
  outbox.doubtful.push(...outbox.sent);
  outbox.sent = [];
}

// Why the server closed, in words, for the codes that mean something to a person.
function closeReason({ code, reason }) {
  const words = {
    1001: 'The server is going down',
    1008: 'The server closed the connection',
    1013: 'The server is full',
  }[code];
  if (!reason) return words && `${words}.`;
  return `${words ?? 'The server closed the connection'} (${reason}).`;
}

// ---------------------------------------------------------------------------------------------------------------------
// Events: what comes in.

function onFrame({ data }) {
  link.heardAt = Date.now();
  const event = parse(data);
  if (!event) return;

  // Ids rise by one in each room, whatever type of event carries them.
  if (Number.isSafeInteger(event.id)) {
    if (event.id <= room.newest) return; // the history is repeated after a reconnect: this one is on the screen already
    if (room.newest > 0 && event.id > room.newest + 1) sayMissed(event.id - room.newest - 1);
    room.newest = event.id;
  }
  const handle = handlers.get(event.type) ?? onUnknown;
  handle(event);
}

// Returns an event whose name and mess are strings, or null: a page must not fall over because a server is odd.
function parse(data) {
  try {
    const event = JSON.parse(data);
    if (event === null || typeof event !== 'object') return null;
    return { ...event, name: asText(event.name), mess: asText(event.mess) };
  } catch {
    return null;
  }
}

function onWelcome(event) {
  const again = room.welcomed;
  room.welcomed = true;
  room.last = Number.isSafeInteger(event.last) ? event.last : room.newest;
  if (event.room) room.name = asText(event.room);
  if (room.last < room.newest) startOver();

  me.before = me.name;
  me.name = event.name;
  page.me.textContent = me.name;
  page.self.hidden = false;
  page.room.textContent = room.name;
  showOnline(event.online);

  if (!again && event.mess) addSystem(event.mess);
  if (again && me.name !== me.before) addSystem(`You are back, as ${me.name}`);
  showEmpty();
  after('replay', REPLAY_MS, onReplayOver);
}

// The room's newest id is older than what we have seen: the server has restarted and forgotten, and counts from one again.
// (If it has already counted past our newest id, nobody can tell; then some messages are taken for known ones.)
function startOver() {
  room.newest = 0;
  me.name = ''; // names are given out anew as well: the same name may be somebody else's by now
  addSystem('the server restarted', '', 'restart');
}

// By now the room has shown what it got. What is still missing never arrived, and goes back to the one who wrote it.
function onReplayOver() {
  page.view.setAttribute('aria-busy', 'false');
  const lost = outbox.doubtful;
  outbox.doubtful = [];
  if (lost.length > 0) giveBack(lost, 'This did not reach the room. It can be sent again.');
  else if (link.state === 'open' && !page.text.value) hint('');
}

function onMessage(event) {
  const replayed = event.id <= room.last;
  // In a replay, what is new to us and has our former name is what we sent just before the connection broke.
  const mine = event.name !== '' && event.name === (replayed ? me.before : me.name);
  if (mine) (replayed ? outbox.doubtful : outbox.sent).shift(); // messages come back in the order in which they were sent

  room.spoken = true;
  showEmpty();
  const isNews = !mine && !(replayed && me.before === '');
  if (isNews && document.hidden) {
    screen.unread += 1;
    showTitle();
  }
  addLine({ kind: 'message', id: event.id, time: asTime(event.time), name: event.name, text: event.mess, mine, isNews });
}

function onPresence(event, verb) {
  showOnline(event.online);
  // Our own coming we know, and our own going is only the connection before this one, noticed late.
  if (event.name === me.name || event.name === me.before) return;
  addSystem(verb, event.name);
}

function onOnline(event) {
  showOnline(event.online);
}

function onError(event) {
  addSystem(event.mess || asText(event.code), '', 'error');
  // If it was about a message, the one who wrote it gets it back to better it. After a command it is not about a message.
  if (outbox.sent.length > 0 && !outbox.lastWasCommand) giveBack([outbox.sent.shift()], 'The server did not take this.');
}

// A newer server may say things this page has no picture for. Every event has a name and a mess: these it can show.
function onUnknown(event) {
  showOnline(event.online);
  if (event.mess) addSystem(event.mess, event.name ? `${event.name}:` : '');
}

function sayMissed(count) {
  addSystem(count === 1 ? '1 message is not shown here' : `${count} messages are not shown here`, '', 'gap');
}

// ---------------------------------------------------------------------------------------------------------------------
// The screen: lines are collected, put into the document in batches, and the oldest dropped.

function prepareView() {
  page.view.addEventListener('scroll', noticeScroll, { passive: true });
  page.view.addEventListener('wheel', noticeWish, { passive: true });
  page.view.addEventListener('keydown', noticeWish);
  page.newer.addEventListener('click', () => {
    followEnd();
    page.view.focus(); // this button vanishes too; and the box would call up the keyboard of a phone
  });

  // The keyboard of a phone, a turned screen or a growing box take room away: stay at the end if we were there.
  const observer = new ResizeObserver(() => screen.follow && scrollToEnd());
  observer.observe(page.view);
  observer.observe(page.log);

  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    screen.unread = 0;
    showTitle();
  });
}

function addSystem(text, name = '', flavour = '') {
  addLine({ kind: 'system', text, name, flavour });
}

// A busy room brings hundreds of lines a second. Each on its own would make the browser lay out the page each time;
// together they cost one layout. A timer does it and not requestAnimationFrame, which stands still in a hidden tab.
function addLine(line) {
  screen.pending.push(line);
  if (screen.pending.length > 2 * MAX_LINES) screen.pending.splice(0, MAX_LINES); // they would be dropped anyway
  if (!timers.has('flush')) after('flush', FLUSH_MS, flush);
}

function flush() {
  noticeScroll();
  const lines = screen.pending.slice(-MAX_LINES);
  screen.pending = [];

  const fragment = document.createDocumentFragment();
  for (const line of lines) fragment.append(...elementsOf(line));
  page.log.append(fragment);
  dropOldest();

  if (screen.follow) scrollToEnd();
  else screen.newer += lines.filter((line) => line.isNews).length;
  showNewer();
}

// One line is one element, or two when a new day begins with it.
function elementsOf(line) {
  if (line.kind === 'system') {
    screen.group = null; // what comes next begins a new group
    return [systemElement(line)];
  }
  const day = dayFormat.format(line.time);
  const newDay = day !== screen.day;
  const grouped = !newDay && belongsTo(screen.group, line);
  screen.day = day;
  if (!grouped) screen.group = line;
  const message = messageElement(line, grouped);
  return newDay ? [create('li', 'day', day), message] : [message];
}

// Measured from the group's first message: its time stands for all of them, so it must not grow too old.
function belongsTo(first, line) {
  return first !== null && first.name === line.name && first.mine === line.mine && line.time - first.time < GROUP_MS;
}

// <li class="message"><div class="head"> name, time </div><div class="bubble"> text </div></li>
function messageElement(line, grouped) {
  const item = create('li', 'message');
  if (line.id !== undefined) item.dataset.id = line.id;
  item.classList.toggle('mine', line.mine);
  item.classList.toggle('grouped', grouped);

  // Name and time are in every message, though shown only once per group: a screen reader reads messages one by one.
  const head = create('div', 'head');
  head.append(create('bdi', `name ${hueOf(line.name)}`, line.name), ' ', timeElement(line.time));

  const text = create('div', 'text', line.text);
  text.dir = 'auto'; // Arabic and Hebrew begin at the right, and cannot turn around what stands beside them
  const bubble = create('div', 'bubble');
  bubble.append(text);
  if (isLong(line.text)) bubble.append(unfoldButton(text));

  item.append(head, bubble);
  return item;
}

function timeElement(time) {
  const element = create('time', '', clockFormat.format(time));
  element.dateTime = time.toISOString();
  element.title = exactFormat.format(time);
  return element;
}

function systemElement({ text, name, flavour }) {
  const item = create('li', `system ${flavour}`.trim());
  if (name) item.append(create('bdi', 'who', name), ' ');
  item.append(create('bdi', 'what', text));
  return item;
}

function isLong(text) {
  return text.length > LONG_TEXT_CHARS || text.split('\n', LONG_TEXT_LINES + 1).length > LONG_TEXT_LINES;
}

function unfoldButton(text) {
  const button = create('button', 'unfold', 'Show all');
  button.type = 'button';
  button.setAttribute('aria-expanded', 'false');
  text.classList.add('folded');
  button.addEventListener('click', () => {
    const folded = text.classList.toggle('folded');
    button.textContent = folded ? 'Show all' : 'Show less';
    button.setAttribute('aria-expanded', String(!folded));
    if (!folded) screen.follow = false; // whoever unfolds a text wants to read it from its beginning
  });
  return button;
}

// The same name has the same colour on every screen and every day, without anybody keeping a list: it is a hash (FNV-1a).
function hueOf(name) {
  let hash = 0x811c9dc5;
  for (const unit of encoder.encode(name)) hash = Math.imul(hash ^ unit, 0x01000193);
  return `hue-${((hash ^ (hash >>> 15)) >>> 0) % HUES}`;
}

// Dropping lines above must not move what somebody is reading. The browser could hold it in place (scroll anchoring),
// but not every browser does, so it is switched off in the style sheet and done here for all of them.
function dropOldest() {
  let excess = page.log.childElementCount - MAX_LINES;
  if (excess <= 0) return;
  const fixed = page.log.lastElementChild;
  const before = fixed.getBoundingClientRect().top;
  while (excess-- > 0) page.log.firstElementChild.remove();
  // The first message left may have stood under a name that is gone now.
  page.log.querySelector('.message')?.classList.remove('grouped');
  page.view.scrollTop += fixed.getBoundingClientRect().top - before;
  screen.lastTop = page.view.scrollTop;
}

// A move upwards means "I want to read", a move down to the end "go on". Where the end is says nothing by itself: it moves
// away with every new line. A room that fits on the screen has nothing to scroll, and so is always at its end.
function noticeScroll() {
  const { scrollTop, scrollHeight, clientHeight } = page.view;
  const bottom = scrollTop + clientHeight;
  const goal = Math.min(screen.aim, scrollHeight - NEAR_END_PX);
  if (scrollTop < screen.lastTop && bottom < scrollHeight - 1) screen.follow = false;
  else if (scrollTop > screen.lastTop && bottom >= goal) screen.follow = true;
  if (scrollHeight <= clientHeight) screen.follow = true;
  screen.lastTop = scrollTop;
  if (screen.follow) screen.newer = 0;
  showNewer();
}

// The wheel and the keys scroll smoothly, which takes a moment, and a busy room does not wait. Upwards, the next lines would
// pull the reader back in the first frame, again and again. Downwards, the end would be further off on arrival, again and
// again. So the wish counts, and not only the move: up is up, and the end is the end there was when somebody set out for it.
function noticeWish(event) {
  const up = event.deltaY < 0 || ['ArrowUp', 'PageUp', 'Home'].includes(event.key);
  const down = event.deltaY > 0 || ['ArrowDown', 'PageDown', 'End'].includes(event.key);
  if (up && page.view.scrollTop > 0) screen.follow = false;
  if (up) screen.aim = Infinity;
  if (down) screen.aim = page.view.scrollHeight - page.view.clientHeight / 4; // lines come while the browser prepares, too
}

function followEnd() {
  screen.follow = true;
  screen.newer = 0;
  scrollToEnd();
  showNewer();
}

// At once and not smoothly: in a busy room a smooth scroll would never arrive.
function scrollToEnd() {
  page.view.scrollTop = page.view.scrollHeight;
  screen.lastTop = page.view.scrollTop;
}

function showNewer() {
  page.newer.hidden = screen.newer === 0;
  page.newer.textContent = screen.newer === 1 ? '1 new message ↓' : `${screen.newer} new messages ↓`;
}

// The hint for a silent room waits for the welcome, which knows whether a history is about to follow.
function showEmpty() {
  page.empty.hidden = room.spoken || !room.welcomed || room.last > 0;
}

// ---------------------------------------------------------------------------------------------------------------------
// The composer: the box one types in.

function prepareComposer() {
  page.composer.addEventListener('submit', (event) => {
    event.preventDefault();
    send();
  });
  page.text.addEventListener('keydown', onKey);
  page.text.addEventListener('input', () => {
    fitBox();
    hint(tooLong(page.text.value));
  });
  fitBox(); // a browser may have put back what was typed before a reload

  // With a mouse there is a keyboard beside it. On a phone the focus would throw the keyboard over the room.
  if (matchMedia('(pointer: fine)').matches) page.text.focus();
}

// Enter sends, Shift+Enter does not. While an input method is composing (as for Chinese or Japanese), Enter picks a word;
// Safari reports that last Enter as no longer composing, but keeps the old code 229 for it.
function onKey(event) {
  const composing = event.isComposing || event.keyCode === 229;
  if (event.key !== 'Enter' || event.shiftKey || composing) return;
  event.preventDefault();
  send();
}

// Sends what is in the box as it is. Nothing is shown yet: the message is on the screen when the room has it, and so sends
// it back. Until we are connected it stays in the box; it is never queued, since minutes later it may be out of place.
function send() {
  const text = page.text.value;
  if (text.trim() === '') return;
  const complaint = link.state === 'open' ? tooLong(text) : 'Not connected yet: your text stays here until it can be sent.';
  if (complaint) {
    hint(complaint);
    return;
  }
  link.socket.send(text);
  remember(text);
  page.text.value = '';
  fitBox();
  hint('');
  followEnd();
  page.text.focus();
}

// A message comes back to its sender, a command does not; so only messages can be waited for. "//x" is the message "/x".
function remember(text) {
  outbox.lastWasCommand = text.startsWith('/') && !text.startsWith('//');
  if (outbox.lastWasCommand) return;
  outbox.sent.push(text);
  if (!timers.has('answer')) awaitAnswer();
}

// A network that has gone away says nothing, and a browser waits for it patiently. We do not: whoever gets no answer
// to a message, nor anything else, starts again with a new connection, and its replay tells whether the message arrived.
function awaitAnswer() {
  after('answer', ANSWER_MS, () => {
    if (outbox.sent.length === 0) return;
    if (Date.now() - link.heardAt >= ANSWER_MS) onLost('The server does not answer.');
    else awaitAnswer();
  });
}

// Puts texts back into the box, before what has been typed there meanwhile.
function giveBack(texts, why) {
  page.text.value = [...texts, page.text.value].filter((text) => text !== '').join('\n');
  fitBox();
  hint(why);
}

// The limit is in bytes, since that is what travels: 65,536 Latin letters, but 21,845 Chinese characters.
function tooLong(text) {
  if (text.length * 3 <= MAX_MESSAGE_BYTES) return ''; // no UTF-16 unit needs more than three bytes: no need to count
  const bytes = encoder.encode(text).length;
  if (bytes <= MAX_MESSAGE_BYTES) return '';
  return `This is too long: ${bytes.toLocaleString()} bytes, and the most is ${MAX_MESSAGE_BYTES.toLocaleString()}.`;
}

// As high as the text in it; the style sheet says where that ends.
function fitBox() {
  page.text.style.height = 'auto';
  page.text.style.height = `${page.text.scrollHeight}px`;
}

function hint(text) {
  if (page.hint.textContent !== text) page.hint.textContent = text;
}

// ---------------------------------------------------------------------------------------------------------------------
// The words around it: state and title.

// connecting | open | waiting | closed | unsupported. The style sheet colours by it, and tests wait for it.
function setState(state) {
  link.state = state;
  document.body.dataset.state = state;
  page.status.dataset.state = state;
  page.send.disabled = state !== 'open';
  page.retry.hidden = state !== 'waiting' && state !== 'closed';
  page.text.placeholder = placeholder(state);
}

function placeholder(state) {
  if (state === 'open') return `Message ${room.name}`;
  return state === 'connecting' ? 'Connecting…' : 'Not connected';
}

// `what` is announced to a screen reader; `more` beside it changes often and is not.
function say(what, more = '') {
  page['status-what'].textContent = what;
  sayMore(more);
}

function sayMore(more) {
  page['status-more'].textContent = more;
}

function showOnline(online) {
  if (!Number.isSafeInteger(online) || link.state !== 'open') return;
  sayMore(online === 1 ? '1 person' : `${online.toLocaleString()} people`);
}

function showTitle() {
  document.title = screen.unread > 0 ? `(${screen.unread}) roomd` : 'roomd';
}

function sayUnsupported() {
  setState('unsupported');
  say('Not connected');
  page.text.disabled = true; // nothing that is typed here could ever be sent
  page.alarm.textContent = 'This browser has no WebSocket, which this chat room needs. Please use a newer browser.';
  page.alarm.hidden = false;
}

// ---------------------------------------------------------------------------------------------------------------------
// Small helpers.

function create(tag, className, text = '') {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

function after(name, ms, action) {
  cancel(name);
  const run = () => {
    timers.delete(name);
    action();
  };
  timers.set(name, setTimeout(run, ms));
}

function cancel(name) {
  clearTimeout(timers.get(name));
  timers.delete(name);
}

function asText(value) {
  if (value === undefined || value === null) return '';
  // String() calls toString(), which in an object that came as JSON may be a number.
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

// A date that certainly can be shown: toISOString() throws for one that is none.
function asTime(ms) {
  if (!Number.isFinite(ms)) return new Date();
  const time = new Date(ms);
  return Number.isFinite(time.getTime()) ? time : new Date();
}

// The room's name as in the address, until the welcome says it. Broken escapes in an address are shown as they are.
function roomFromAddress() {
  const raw = location.pathname.replace(/^\/r\//, '').replace(/^\//, '');
  try {
    return decodeURIComponent(raw) || 'lobby';
  } catch {
    return raw;
  }
}
