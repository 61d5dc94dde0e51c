import { type Bench } from './harness.js';
import { DOOR_ROLES } from '../test/support/door.js';
import { benchFile, noteOf, passage } from './door.kit.js';

/** The same on Kafka, S3 and Postgres, as the environment names them. */
export const bench: Bench = async (note) => {
  const { text, name } = benchFile();
  note(`${name}; Kafka, S3 and Postgres on the same machine.`);
  note(noteOf('four processes', await passage('real', DOOR_ROLES, text)));
  return [];
};
