import { Type } from '@sinclair/typebox';
import { type Brand } from '../brand.js';
import { brandedText, closed, type Sealed } from '../schema.js';

/** A place that one bundle at a time can be active in: `primary`, `stage2`, `challenger` … */
export type BundleSlot = Brand<string, 'BundleSlot'>;
export const BundleSlotSchema = brandedText<BundleSlot>({
  pattern: '^[a-z][a-z0-9_-]{0,63}$',
  description: 'a place that one bundle at a time is active in',
});

/** What a bundle is active for: exactly one, or none (law R9). */
export const RegistryScopeSchema = closed({
  /** What the profile calls its environment. */
  environment: Type.String({ minLength: 1, maxLength: 64 }),
  mode: Type.Literal('live'),
  bundle_slot: BundleSlotSchema,
});
export type RegistryScope = Sealed<typeof RegistryScopeSchema>;
