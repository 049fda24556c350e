// In which order persistent blocks take the tiles of C.
#pragma once

namespace gemm {

struct Tile {
    int row, column;  // in tiles
};

// Bands of `band` rows of tiles, in each column by column, every other band backwards. Tiles that are worked on at one time so
// lie in a rectangle, whose rows of A and of B, read by many, stay in the L2 cache; a new band begins where the last one ended.
__device__ __forceinline__ Tile tile_at(int index, int rows, int columns, int band) {
    const int whole = band * columns, number = index / whole, within = index % whole;
    const int height = min(band, rows - number * band);
    const int column = within / height;
    return {number * band + within % height, number % 2 ? columns - 1 - column : column};
}

}  // namespace gemm
