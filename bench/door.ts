import { type Bench } from './harness.js';
import { DOOR_ROLES } from '../test/support/door.js';
import { benchFile, noteOf, passage } from './door.kit.js';

/** A file through the door on what `npm ci` brings: all roles in one process, and one process per role. */
export const bench: Bench = async (note) => {
  const { text, name } = benchFile();
  note(`${name}; embedded database with fsync on, through the HTTP API as a user's command does it.`);
  note(noteOf('one process', await passage('embedded', ['all'], text)));
  note(noteOf('four processes', await passage('embedded', DOOR_ROLES, text)));
  return [];
};
