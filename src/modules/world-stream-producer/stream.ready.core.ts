import { isDigest } from '../../rails/digest.js';
import { checkEnvelope, envelopePins } from '../../rails/envelope.js';
import { type Ready, ReadySchema } from '../../rails/events/ready.schema.js';
import { isNoWorld, type RunPins } from '../../rails/pins.js';
import { validatorOf } from '../../rails/validator.js';

/** A record of the control topic: READY of a run, something that is not for us, or something that nobody can read. */
export type ControlRecord =
  | { readonly kind: 'ready'; readonly pins: RunPins; readonly ready: Ready }
  | { readonly kind: 'other' }
  | { readonly kind: 'invalid'; readonly says: string };

const readies = validatorOf(ReadySchema, 'the payload');

/** Never throws: a record that cannot be read stops nobody, and is reported. */
export function readControl(text: string): ControlRecord {
  const envelope = checkEnvelope(parse(text));
  if (!envelope.ok) return invalid(`the envelope${at(envelope.fault)}`);
  const { event_type, schema_version, payload } = envelope.value;
  if (event_type !== 'sr.ready') return { kind: 'other' };
  if (schema_version !== 'v1') return invalid('READY is of a version that is not known here');
  const pins = envelopePins(envelope.value);
  if (!pins.ok) return invalid(`${pins.reason}: ${pins.names.join(', ')}`);
  if (isNoWorld(pins.pins)) return invalid('READY names no run');
  const ready = readies.check(payload);
  if (!ready.ok || !isDigest(ready.value.message_id)) return invalid(`the payload${ready.ok ? '' : at(ready.fault)}`);
  return { kind: 'ready', pins: pins.pins, ready: ready.value };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function invalid(says: string): ControlRecord {
  return { kind: 'invalid', says };
}

function at(fault: { readonly at: string; readonly says: string }): string {
  return ` at ${fault.at === '' ? '/' : fault.at} ${fault.says}`;
}
