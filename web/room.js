// What the page knows of the room, and of itself in it. Other modules read and write it; nothing is shown here.

import { roomFromAddress } from './address.js';
import { keep, recall } from './storage.js';
import { folded } from './text.js';

// The room as far as the page has seen it. `last` is the newest id at our welcome: up to it messages are the past, beyond it
// news. `first` is `last` at our first welcome here. `newest` is the newest id that has come, `spoken` whether any message has.
// `epoch` is the log that these ids are of. `note` is to be said when the past is on the screen.
export const room = {
  name: roomFromAddress(), welcomed: false, epoch: '', last: 0, first: 0, newest: 0, spoken: false, note: '',
};

// Our name, and all that we have had in this room. `wanted` is a name that somebody chose; others are given anew each time.
// `tag` is the mark that the server gives us for our secret; '' from a server that gives none.
// `asking`: the connection has asked for the wanted name and has not got it yet.
export const me = { name: '', tag: '', all: new Set(), wanted: recall('name'), asking: false };

// The name that this and the next visit ask for; '' for none.
export function wantName(name) {
  me.wanted = name;
  keep('name', name);
}

export function isOurs(name) {
  return me.all.has(name);
}

const MOST_NAMES = 1_000; // so many names are remembered with their tags

// The tag under which each name was seen first in this room; '' for none.
const tags = new Map();

// Whether somebody under this name is not the one who was seen under it before, or has a name that is ours now.
export function isNamesake(name, tag) {
  const key = folded(name);
  if (me.tag !== '' && key === folded(me.name)) return tag !== me.tag;
  if (!tags.has(key)) tags.set(key, tag);
  if (tags.size > MOST_NAMES) tags.delete(tags.keys().next().value);
  return tags.has(key) && tags.get(key) !== tag;
}

export function forgetTags() {
  tags.clear();
}
