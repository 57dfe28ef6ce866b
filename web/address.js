// Where the page is, and which room its address names. A proxy may serve roomd under a path of its own
// (https://example.com/chat/): so nothing here begins at the root of the host, but at the place where the scripts lie.

const ROOT = new URL('./', import.meta.url).pathname; // '/', or '/chat/'

// The name in the address, until the welcome says it. Broken escapes are shown as they are.
export function roomFromAddress() {
  const raw = location.pathname.slice(ROOT.length).replace(/^r\//, '');
  try {
    return decodeURIComponent(raw).normalize('NFC') || 'lobby';
  } catch {
    return raw;
  }
}

export function pathOf(room) {
  // Half a character would be an exception; no server sends one that speaks UTF-8.
  return room === 'lobby' ? ROOT : `${ROOT}r/${encodeURIComponent(room.replace(/\p{Surrogate}/gu, '\uFFFD'))}`;
}

// On the page's own host: a browser that could load the page can reach the room.
export function roomUrl(room) {
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return `${scheme}//${location.host}${pathOf(room)}`;
}

// The path under which this roomd is served.
export function rootPath() {
  return ROOT;
}

// The address of one of the page's own files.
export function fileUrl(name) {
  return `${ROOT}${name}`;
}
