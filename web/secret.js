// The secret by which the server knows this browser again, so that what was said here stays ours after a reload, and a second
// tab is the same person. It is made here, of random bytes, and says nothing about anybody.

import { rootPath } from './address.js';
import { keep, recall } from './storage.js';

const COOKIE = 'roomd-me'; // a browser lets no page send a header with a handshake, and an address would be in the logs of proxies
const BYTES = 20;
const SECRET = new RegExp(`^[0-9a-f]{${2 * BYTES}}$`);

let secret = ''; // of this page, if the browser keeps nothing

// Sets the cookie for the handshake that follows. It is set each time: another daemon on this host has the same cookie.
export function showSecret() {
  secret = secret || kept();
  const secure = location.protocol === 'https:' ? '; Secure' : '';
  document.cookie = `${COOKIE}=${secret}; Path=${rootPath()}; SameSite=Strict${secure}`;
  void document.cookie; // read back, which waits until it is set: a handshake could overtake it, and would come without a person
}

// Another tab may have made one at the same moment: what is kept counts.
function kept() {
  if (!SECRET.test(recall('me'))) keep('me', made());
  return SECRET.test(recall('me')) ? recall('me') : made();
}

function made() {
  const bytes = crypto.getRandomValues(new Uint8Array(BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
