import { hash } from 'node:crypto';
import { canonicalJson } from '../../rails/canonical-json.js';
import { type Digest } from '../../rails/digest.js';
import { type EventId } from '../../rails/envelope.schema.js';
import { defineRecipe } from '../../rails/identity-recipe.js';
import { type ContextPins, type RunPins } from '../../rails/pins.js';

/** Of an admission: what makes two submissions the same event. The id of its one receipt and the ledger's key at once. */
export const ADMISSION_RECIPE = defineRecipe<{ pins: RunPins; event_id: EventId }, 'Digest'>('ig.admission', 1, {
  pins: true,
  event_id: true,
});

/** Of every other decision: each attempt has a receipt of its own. `event` is the event's id or, without one, the digest of its bytes. */
export const ATTEMPT_RECIPE = defineRecipe<
  { pins: ContextPins | null; event: string; decision: string; intake_id: number; position: number },
  'Digest'
>('ig.receipt', 1, { pins: true, event: true, decision: true, intake_id: true, position: true });

/**
 * The admission ids of one run. The recipe's own way walks and sorts the pins for every event; here their text is made once,
 * and what is hashed is the very same.
 */
export function admissionIds(pins: RunPins): (eventId: EventId) => Digest {
  const after = `,"pins":${canonicalJson(pins)},"recipe":${JSON.stringify(ADMISSION_RECIPE.name)}}`;
  return (eventId) => sha256(`{"event_id":${JSON.stringify(eventId)}${after}`);
}

/** sha-256 of the text's UTF-8 bytes: the one-shot form costs half of the rails' for short texts. */
export function sha256(text: string): Digest {
  return hash('sha256', text, 'hex') as Digest;
}
