import { objectsContract } from '../../src/substrate/objects/objects.contract.js';
import { filesHarness } from '../support/objects-harness.js';

const FULL = process.env['PROBITY_FAULTS'] === 'full';

const MIB = 1024 * 1024;

objectsContract('files', filesHarness, { streamBytes: (FULL ? 1024 : 128) * MIB + 4_711, growthBytesMax: 64 * MIB });
