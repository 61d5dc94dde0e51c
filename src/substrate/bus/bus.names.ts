import { ProbityError } from '../../rails/errors/probity-error.js';
import { type GroupName, type Offset, type TopicName } from './bus.port.js';

/** What Kafka takes as a topic name; the embedded bus takes no more, so that a profile can be switched. */
const NAME = /^[a-zA-Z0-9._-]{1,249}$/;

function assertName(kind: string, text: string): void {
  if (!NAME.test(text) || text === '.' || text === '..')
    throw new ProbityError('VALUE_INVALID', `a ${kind} is 1 to 249 letters, digits, dots, dashes and underscores`);
}

/** @throws VALUE_INVALID when no bus could hold a topic of this name */
export function asTopicName(text: string): TopicName {
  assertName('topic name', text);
  return text as TopicName;
}

/** @throws VALUE_INVALID when no bus could hold a group of this name */
export function asGroupName(text: string): GroupName {
  assertName('group name', text);
  return text as GroupName;
}

/** @throws VALUE_INVALID when the number is not a whole one from 0 to Number.MAX_SAFE_INTEGER */
export function asOffset(value: number): Offset {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new ProbityError('VALUE_INVALID', 'an offset is a whole number from 0 to 2^53 - 1');
  return value as Offset;
}
