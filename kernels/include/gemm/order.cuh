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

// The tiles of C, cheap ones last, so that they fill up the last round: first `whole_rows` x `columns`, then the row below them if
// there is one, of whose rows few lie in C, then the column beside them if there is one, which is narrow.
struct Area {
    int rows, columns;  // without the narrow column
    int whole_rows;     // rows, or one less
    int narrow;         // 1 for a narrow column, 0 for none

    __device__ __forceinline__ int wide_count() const { return rows * columns; }
    __device__ __forceinline__ int count() const { return rows * (columns + narrow); }

    __device__ __forceinline__ Tile at(int index, int band) const {
        const int whole = whole_rows * columns;
        if (index < whole) return tile_at(index, whole_rows, columns, band);
        if (index < wide_count()) return {whole_rows, index - whole};
        return {index - wide_count(), columns};
    }
};

}  // namespace gemm
