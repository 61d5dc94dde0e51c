import { Type } from '@sinclair/typebox';
import type { Digest } from '../digest.js';
import { EventIdSchema } from '../envelope.schema.js';
import { defineRecipe } from '../identity-recipe.js';
import type { RunPins } from '../pins.js';
import { closed, type Sealed } from '../schema.js';

const KindName = Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' });
const Id = Type.String({ minLength: 1, maxLength: 200, pattern: '^[!-~]([ -~]*[!-~])?$' });

/** What a label is about, within the run of its pins. */
export const LabelTargetSchema = Type.Union(
  [
    closed({ kind: Type.Literal('EVENT'), event_id: EventIdSchema }),
    /** A customer, a card, a device: `type` is the name that transactions have for it. */
    closed({ kind: Type.Literal('ENTITY'), type: KindName, id: Id }),
    /** A login, a session, a transfer of several steps. */
    closed({ kind: Type.Literal('FLOW'), type: KindName, id: Id }),
  ],
  { description: 'What a label is about.' },
);
export type LabelTarget = Sealed<typeof LabelTargetSchema>;

/** The parts of a target, each of which is there: what tables and keys are made of. */
export function partsOf(target: LabelTarget): { readonly kind: string; readonly type: string; readonly id: string } {
  return target.kind === 'EVENT' ? { kind: 'EVENT', type: '', id: target.event_id } : target;
}

/** One text per target; neither kinds nor types hold a slash. */
export function targetKey(target: LabelTarget): string {
  const { kind, type, id } = partsOf(target);
  return `${kind}/${type}/${id}`;
}

/**
 * A label is what one writer says under one handle of a target: said again it is the same label, and with another content it is a
 * conflict (law R6). `namespace` keeps writers out of each other's handles.
 */
const labelIdRecipe = defineRecipe<
  { pins: RunPins; target: LabelTarget; label_type: string; namespace: string; handle: string },
  'LabelId'
>('labels.label', 2, { pins: true, target: true, label_type: true, namespace: true, handle: true });

export function labelIdOf(fields: Parameters<typeof labelIdRecipe.derive>[0]): Digest {
  return labelIdRecipe.derive(fields) as string as Digest;
}
