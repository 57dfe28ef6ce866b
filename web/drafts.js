// What was typed and not sent yet, for each room: it is there again after a reload, and on coming back to the room.
//
// It is kept with the tab (sessionStorage). So two tabs in one room do not overwrite each other, and nothing that was not
// said stays on a shared machine when the tab is closed.

const KEY = 'roomd.drafts';
const MAX_CHARS = 200_000; // of one draft: three times what can usually be sent; a longer one is not kept
const MAX_DRAFTS = 20; // the one touched longest ago goes first. Together at most 4 million, of 5 that a browser grants

// Room -> text, touched last at the end. (A Map, since a room may be called "__proto__".)
function all() {
  try {
    return new Map(JSON.parse(sessionStorage.getItem(KEY) ?? '[]'));
  } catch {
    return new Map(); // forbidden, or written by somebody else
  }
}

export function recallDraft(room) {
  const text = all().get(room);
  return typeof text === 'string' ? text : '';
}

export function keepDraft(room, text) {
  const drafts = all();
  if (text === '' && !drafts.has(room)) return;
  drafts.delete(room);
  if (text !== '' && text.length <= MAX_CHARS) drafts.set(room, text);
  for (const oldest of drafts.keys()) {
    if (drafts.size <= MAX_DRAFTS) break;
    drafts.delete(oldest);
  }
  try {
    if (drafts.size === 0) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, JSON.stringify([...drafts]));
  } catch {
    // A browser may forbid this, or have no room left: then a reload empties the box.
  }
}
