import { ProbityError } from '../../rails/errors/probity-error.js';
import { type GroupName } from './bus.port.js';

/** What Kafka takes as the name of a group; the embedded bus takes no more, so that a profile can be switched. */
const GROUP = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,248}$/;

/** @throws ProbityError VALUE_INVALID when no bus could hold a group of this name */
export function asGroupName(text: string): GroupName {
  if (!GROUP.test(text))
    throw new ProbityError('VALUE_INVALID', 'a group name is 1 to 249 letters, digits, dots, dashes and underscores');
  return text as GroupName;
}
