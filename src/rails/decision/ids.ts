import { defineRecipe } from '../identity-recipe.js';
import type { RunPins } from '../pins.js';

/**
 * The ids of what follows from an event. None of them knows a bundle, a posture or an offset: a decision is decided once, and an effect is
 * one effect whatever was in force when it was asked for again (law R6).
 */
export const decisionIdRecipe = defineRecipe<{ pins: RunPins; event_id: string; scope: string }, 'DecisionId'>(
  'df.decision',
  1,
  { pins: true, event_id: true, scope: true },
);

/** By domain and not by type, so that a retry that turns an approval into a decline cannot cause two effects. */
export const idempotencyKeyRecipe = defineRecipe<
  { pins: RunPins; event_id: string; action_domain: string; action_key: string },
  'IdempotencyKey'
>('df.action', 1, { pins: true, event_id: true, action_domain: true, action_key: true });

export const outcomeIdRecipe = defineRecipe<
  { pins: RunPins; idempotency_key: string; attempt_no: number },
  'OutcomeId'
>('al.outcome', 1, { pins: true, idempotency_key: true, attempt_no: true });

export const postureIdRecipe = defineRecipe<{ scope_key: string; posture_seq: number }, 'PostureEventId'>(
  'dl.posture',
  1,
  { scope_key: true, posture_seq: true },
);
