import { describe } from '@jest/globals';
import type { ObjectsHarness } from '../../src/substrate/objects/contract/kit.js';
import { formatCases } from './data-engine.format.cases.js';
import { sealCases } from './data-engine.seal.cases.js';
import { serviceCases } from './data-engine.service.cases.js';

/** What the engine promises on every object store: files of a folder, and S3. */
export function dataEngineContract(kind: string, openHarness: () => Promise<ObjectsHarness>): void {
  describe(`worlds sealed into ${kind}`, () => sealCases(openHarness));
  describe(`files imported from ${kind}`, () => formatCases(openHarness));
  describe(`the engine on ${kind}`, () => serviceCases(openHarness));
}
