// The commands that the page knows, and how the help and the suggestions show them.

import { create } from './elements.js';
import { put } from './words.js';

// In the order of the help.
export const COMMANDS = ['nick', 'join', 'msg', 'me', 'who', 'ping', 'help'];
const WITHOUT_WORDS = ['who', 'ping', 'help'];

// The others take words, and wait for them when they are chosen among the suggestions.
export function isComplete(command) {
  return WITHOUT_WORDS.includes(command);
}

// "/nick NAME" and what it does.
export function commandParts(command) {
  const code = create('code', '', `/${command} `);
  const args = create('bdi', 'args');
  const does = create('div', 'does');
  put(args, `args-${command}`);
  put(does, `does-${command}`);
  code.append(args);
  return [code, does];
}
