// Who is here: the number in the header, and the names in the panel while the room is small enough to list them.

import { keep, recall } from './memory.js';
import { hueOf } from './text.js';
import { create } from './timeline.js';
import { put } from './words.js';

const LARGE_ROOM = 100; // from so many on the server tells how many come and go, and no longer who
const MAX_SPEAKERS = 50; // names suggested besides those in the list: who spoke last

const page = Object.fromEntries(
  ['people', 'people-open', 'people-close', 'people-note', 'names', 'status-more'].map((id) => [id, document.getElementById(id)]),
);
const wide = matchMedia('(min-width: 56rem)'); // as in style.css: there the panel is a column, below it lies over the room
const speakers = new Set(); // newest last
const here = { names: new Set(), online: 0, me: '', isStale: false };
let timer = 0;
let hooks = {};

// `pickName(name)` is called when a name is chosen, `askWho()` when the list is no longer known.
export function preparePeople({ pickName, askWho }) {
  hooks = { pickName, askWho };
  page['people-open'].addEventListener('click', () => {
    const open = page.people.hidden;
    if (wide.matches) keep('people', open ? '' : 'closed');
    showPanel(open);
    if (open && !wide.matches) page['people-close'].focus();
  });
  page['people-close'].addEventListener('click', closePanel);
  page.people.addEventListener('keydown', onKey);
  page.names.addEventListener('click', ({ target }) => {
    const name = target.closest('button')?.dataset.name;
    if (name === undefined || name === here.me) return;
    if (!wide.matches) showPanel(false);
    hooks.pickName(name);
  });
  wide.addEventListener('change', () => showPanel(wide.matches && recall('people') !== 'closed'));
  showPanel(wide.matches && recall('people') !== 'closed');
}

// The list as the server gave it, the first hundred.
export function setPeople(users, online, me) {
  here.names = new Set(Array.isArray(users) ? users.filter((name) => typeof name === 'string') : []);
  here.me = me;
  here.isStale = false;
  setOnline(online);
}

export function setOnline(online) {
  if (!Number.isSafeInteger(online) || online < 0) return;
  here.online = online;
  put(page['status-more'], 'people', { n: online });
  // The room was too large to be told who came and went; when it is small again, it has to be asked.
  if (online >= LARGE_ROOM) here.isStale = true;
  else if (here.isStale) hooks.askWho();
  soon();
}

export function addPerson(name, online) {
  here.names.add(name);
  setOnline(online);
}

export function removePerson(name, online) {
  here.names.delete(name);
  setOnline(online);
}

export function renamePerson(from, name) {
  if (here.me === from) here.me = name;
  // In their old place: a list in which people jump is hard to read.
  here.names = new Set([...here.names].map((one) => (one === from ? name : one)));
  soon();
}

export function noteSpeaker(name) {
  speakers.delete(name);
  speakers.add(name);
  if (speakers.size > MAX_SPEAKERS) speakers.delete(speakers.values().next().value);
}

export function forgetSpeakers() {
  speakers.clear();
}

// Everybody one could mean, those who spoke last first.
export function namesToSuggest() {
  const isHere = (name) => here.names.has(name) || here.online >= LARGE_ROOM;
  const spoke = [...speakers].reverse().filter(isHere);
  return [...new Set([...spoke, ...here.names])].filter((name) => name !== here.me);
}

// When many come at once, the list is written once.
function soon() {
  timer ||= setTimeout(() => {
    timer = 0;
    showNames();
  }, 50);
}

function showNames() {
  const large = here.online >= LARGE_ROOM;
  put(page['people-note'], large ? 'roster-large' : 'roster-hint', { n: here.online });
  page.names.hidden = large;
  const focused = document.activeElement.closest?.('#names button')?.dataset.name;
  const names = large ? [] : [...here.names];
  page.names.replaceChildren(...names.map(personElement));
  const first = page.names.querySelector('button');
  if (first) first.tabIndex = 0;
  if (focused !== undefined) (buttonOf(focused) ?? first)?.focus();
}

function personElement(name) {
  const row = create('li', '');
  const button = create('button', '');
  button.type = 'button';
  button.tabIndex = -1; // the list is one stop for Tab; arrows go through it
  button.dataset.name = name;
  button.append(create('bdi', hueOf(name), name));
  if (name === here.me) {
    const you = create('span', 'you');
    put(you, 'you');
    button.append(' ', you);
  }
  row.append(button);
  return row;
}

function buttonOf(name) {
  return [...page.names.querySelectorAll('button')].find((button) => button.dataset.name === name);
}

function onKey(event) {
  if (event.key === 'Escape' && !wide.matches) closePanel();
  const all = [...page.names.querySelectorAll('button')];
  const at = all.indexOf(event.target);
  const goal = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (at < 0 || goal === undefined) return;
  event.preventDefault();
  if (!all[goal]) return;
  all[at].tabIndex = -1;
  all[goal].tabIndex = 0;
  all[goal].focus();
}

function closePanel() {
  if (wide.matches) keep('people', 'closed');
  showPanel(false);
  page['people-open'].focus();
}

function showPanel(open) {
  page.people.hidden = !open;
  page['people-open'].setAttribute('aria-expanded', String(open));
}
