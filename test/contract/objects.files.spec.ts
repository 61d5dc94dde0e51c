import { objectsContract } from '../../src/substrate/objects/objects.contract.js';
import { filesHarness } from '../support/objects-harness.js';

const FULL = process.env['PROBITY_FAULTS'] === 'full';

objectsContract('files', filesHarness, { streamBytes: (FULL ? 1024 : 128) * 1024 * 1024 + 4_711 });
