import { registrySuite } from './registry.cases.js';

registrySuite('embedded', ['all']);
