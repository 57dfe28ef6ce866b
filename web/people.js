// Who is here: the number in the header, and the names in the panel while the room is small enough to list them.

import { create, elements } from './elements.js';
import { keep, recall } from './storage.js';
import { hueOf } from './text.js';
import { put } from './words.js';

const MOST_LISTED = 100; // names in a list that the server gives: it is cut there
const USUAL_LARGE = 100; // from so many on a server tells how many come and go, and no longer who, unless it says otherwise
const MAX_SPEAKERS = 50; // names suggested besides those in the list: who spoke last

const page = elements('people', 'people-open', 'people-close', 'people-note', 'names', 'status-more');
const wide = matchMedia('(min-width: 56rem)'); // as in style.css: there the panel is a column, below it lies over the room
const speakers = new Set(); // newest last
// `isStale`: the names are not all, or no longer those who are here. `large` is from how many people on none is told of another.
const here = { names: new Set(), online: 0, me: '', isStale: false, large: USUAL_LARGE };
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

// The server's own limit, as the welcome tells it; an older server tells none. 0: people are never told of each other.
export function limitPeople(members) {
  here.large = Number.isSafeInteger(members) && members >= 0 ? members : USUAL_LARGE;
}

// The list as the server gave it, the first hundred.
export function setPeople(users, online, me) {
  here.names = new Set(Array.isArray(users) ? users.filter((name) => typeof name === 'string') : []);
  here.me = me;
  here.isStale = here.names.size === MOST_LISTED && online > MOST_LISTED;
  setOnline(online);
}

// Somebody has come or gone, and the server tells how many are here, not who: the list is stale, whatever the number is.
export function countPeople(online) {
  here.isStale = true;
  setOnline(online);
  refresh(); // a count comes late: meanwhile the room may have become small
}

// Somebody has come, of whom the server tells the name: so the room is small enough for it.
export function addPerson(name, online) {
  here.names.add(name);
  setOnline(online);
  refresh();
}

export function removePerson(name, online) {
  here.names.delete(name);
  setOnline(online);
  refresh();
}

export function setOnline(online) {
  if (!Number.isSafeInteger(online) || online < 0) return;
  here.online = online;
  if (online >= here.large) here.isStale = true; // from now on nobody is told of a new name either
  put(page['status-more'], 'people', { n: online });
  soon();
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
  const isHere = (name) => here.names.has(name) || here.isStale;
  const spoke = [...speakers].reverse().filter(isHere);
  return [...new Set([...spoke, ...here.names])].filter((name) => name !== here.me);
}

// The room was too large to be told who came and went. When it is small again, it has to be asked.
function refresh() {
  if (here.isStale && here.online < here.large && here.online <= MOST_LISTED) hooks.askWho();
}

// When many come at once, the list is written once.
function soon() {
  timer ||= setTimeout(() => {
    timer = 0;
    showNames();
  }, 50);
}

function showNames() {
  const large = here.isStale;
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
