export { type MemoryBank, type MemoryBankOptions, memoryBank, openMemoryBank } from "./bank/memory-bank.js";
